import { randomUUID } from 'node:crypto';
import { inTurns, secondsOf, type Bench } from './bench.js';
import { claimFlag, claimJob, claimPolicy, FIRST_BATCHES } from './claim-job.js';
import { fillRegion, WARM_UP } from './directory.js';
import { handWrittenJob, makeJournal } from './hand-written.js';
import { byHand, withWorker } from './on-copy.js';

const CHANGES = 100_000;
const REGION = 'r1';

export const run: Bench = {
  name: 'run',
  ours: 'elect, admit, plan, judge and apply 100 k changes',
  reference: 'select, update and journal them by hand',
  unit: 's',
  ratio: 'speed',
  reach: 0.5,
  runs: 5,
  async measure(context) {
    const flag = await claimFlag();
    const template = await context.server.template('run', async (owner) => {
      await fillRegion(owner, REGION, CHANGES, flag);
      await fillRegion(owner, WARM_UP.region, WARM_UP.accounts, flag);
      await makeJournal(owner);
    });
    const policy = claimPolicy([REGION, WARM_UP.region], FIRST_BATCHES);
    const ours = (): Promise<number> =>
      withWorker(context.server.copyOf(template), claimJob(), async (worker, database) => {
        await worker.run(WARM_UP.region, policy, WARM_UP.accounts);
        await database.settle();
        return await secondsOf(() => worker.run(REGION, policy, CHANGES));
      });
    const reference = (): Promise<number> =>
      byHand(context.server.copyOf(template), 'ownerUrl', async (pool, database) => {
        await handWrittenJob(pool, randomUUID(), WARM_UP.region);
        await database.settle();
        let written = 0;
        const seconds = await secondsOf(async () => {
          written = await handWrittenJob(pool, randomUUID(), REGION);
        });
        if (written !== CHANGES) throw new Error(`${written} changes written, not ${CHANGES}`);
        return seconds;
      });
    return inTurns(context, ours, reference);
  },
};
