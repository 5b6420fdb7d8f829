import { randomUUID } from 'node:crypto';
import { inTurns, secondsOf, type Bench } from './bench.js';
import { claimPolicy, FIRST_BATCHES } from './claim-job.js';
import { WARM_UP } from './directory.js';
import { handWrittenJob, makeJournal } from './hand-written.js';
import { byHand, withWorker } from './on-copy.js';
import { claimJobOn, COMPOSITE, fillOn, named, PLAIN, TRIGGERS, type BenchTable } from './tables.js';

const CHANGES = 100_000;
const REGION = 'r1';

export const run = runOn(PLAIN, 0.5);
export const runTriggers = runOn(TRIGGERS, 0.4);
export const runComposite = runOn(COMPOSITE, 0.4);

function runOn(table: BenchTable, reach: number): Bench {
  return {
    name: `run${table.suffix}`,
    ours: `elect, admit, plan, judge and apply 100 k changes${table.what}`,
    reference: 'select, update and journal them by hand',
    unit: 's',
    ratio: 'speed',
    reach,
    runs: 5,
    async measure(context) {
      const { changes = CHANGES } = context;
      const template = await context.server.template(named('run', table), async (owner) => {
        await fillOn(owner, table, REGION, changes);
        await makeJournal(owner);
      });
      const policy = claimPolicy([REGION, WARM_UP.region], FIRST_BATCHES);
      const ours = (): Promise<number> =>
        withWorker(context.server.copyOf(template), claimJobOn(table), async (worker, database) => {
          await worker.run(WARM_UP.region, policy, WARM_UP.accounts);
          await database.settle();
          return await secondsOf(() => worker.run(REGION, policy, changes));
        });
      const reference = (): Promise<number> =>
        byHand(context.server.copyOf(template), 'ownerUrl', async (pool, database) => {
          await handWrittenJob(pool, randomUUID(), WARM_UP.region, table);
          await database.settle();
          let written = 0;
          const seconds = await secondsOf(async () => {
            written = await handWrittenJob(pool, randomUUID(), REGION, table);
          });
          if (written !== changes) throw new Error(`${written} changes written, not ${changes}`);
          return seconds;
        });
      return inTurns(context, ours, reference);
    },
  };
}
