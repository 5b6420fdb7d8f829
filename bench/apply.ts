import { randomUUID } from 'node:crypto';
import { applyRun } from '#dist/worker/apply-phase.js';
import { beginApplying } from '#dist/worker/begin-applying.js';
import { planRun } from '#dist/worker/plan-phase.js';
import { reconcileGate } from '#dist/gate/permit.js';
import { type FlagAnswer, flagName } from '#dist/flags/definition.js';
import { inTurns, secondsOf, type Bench } from './bench.js';
import { claimFlag, claimPolicy } from './claim-job.js';
import { batchesOf, makeJournal, readUnclaimed, writeBatches } from './hand-written.js';
import { byHand, withWorker } from './on-copy.js';
import { claimJobOn, COMPOSITE, fillOn, named, PLAIN, TRIGGERS, type BenchTable } from './tables.js';

const CHANGES = 100_000;
const REGION = 'r1';

export const apply = applyOn(PLAIN, 1);
export const applyTriggers = applyOn(TRIGGERS, 0.5);
export const applyComposite = applyOn(COMPOSITE, 0.6);

function applyOn(table: BenchTable, reach: number): Bench {
  return {
    name: `apply${table.suffix}`,
    ours: `apply 100 k planned changes behind the fence${table.what}`,
    reference: 'update and journal them by hand',
    unit: 's',
    ratio: 'speed',
    reach,
    runs: 5,
    async measure(context) {
      const flag = await claimFlag();
      const { changes = CHANGES } = context;
      const template = await context.server.template(named('apply', table), async (owner) => {
        await fillOn(owner, table, REGION, changes);
        await makeJournal(owner);
      });
      const policy = claimPolicy([REGION], []);
      const { signal } = new AbortController();
      const ours = (): Promise<number> =>
        withWorker(context.server.copyOf(template), claimJobOn(table), async (worker, database) => {
          const { platform, job } = worker;
          const look = (): FlagAnswer => platform.flags.look(flagName(flag.job, REGION));
          const { gate, answer } = await reconcileGate(
            platform.region,
            flag.job,
            REGION,
            look,
            policy.permitMs,
          );
          if (!answer.open) throw new Error(answer.reason);
          const rows = await readUnclaimed(database.owner, REGION);
          const units = new Set(rows.map(({ unit }) => unit));
          const run = await worker.elect(REGION, policy);
          const leave = {
            ...{ units, epoch: gate.epoch, versionEpoch: 0, flagRevision: gate.flagRevision },
            ...{ asked: 1000, admitted: 1000 },
          };
          await planRun(platform, job, policy, run, leave, signal);
          const begun = await beginApplying(platform.region, run, {
            ...{ gate: gate.epoch, version: 0 },
            ...{ breakGlass: null, until: null },
          });
          if (!begun.passed) throw new Error(begun.reason);
          await database.settle();
          let written = 0;
          const seconds = await secondsOf(() =>
            applyRun(platform.region, policy, run, signal, ({ applied }) => (written += applied)),
          );
          if (written !== changes) throw new Error(`${written} changes applied, not ${changes}`);
          return seconds;
        });
      const reference = (): Promise<number> =>
        byHand(context.server.copyOf(template), 'ownerUrl', async (pool, database) => {
          const rows = await readUnclaimed(pool, REGION);
          await database.settle();
          let written = 0;
          const seconds = await secondsOf(async () => {
            written = await writeBatches(pool, randomUUID(), batchesOf(rows), table, REGION);
          });
          if (written !== changes) throw new Error(`${written} changes written, not ${changes}`);
          return seconds;
        });
      return inTurns(context, ours, reference);
    },
  };
}
