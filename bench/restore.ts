import { readRestored } from '#dist/worker/restore-plan-phase.js';
import { restoreRuns } from '#dist/worker/restore-runs.js';
import { inTurns, secondsOf, type Bench } from './bench.js';
import { BATCH, claimPolicy } from './claim-job.js';
import { byHand, withWorker } from './on-copy.js';
import { claimJobOn, COMPOSITE, fillOn, named, PLAIN, TRIGGERS, type BenchTable } from './tables.js';
import { openWorker } from './worker.js';

const REGION = 'r1';

/**
 * The fastest way back there is: everything at once, over no fence, into no journal, and not to be taken up again. Where
 * triggers are, it compares with the rows as they were stored, as a restore does.
 */
const updateFromJournal = ({ suffix, composite }: BenchTable): string => {
  const stored = suffix === '-triggers';
  return `
  update directory.account a
  set state = c.before->>'state', organisation_id = c.before->>'organisation_id',
      claimed_at = (c.before->>'claimed_at')::timestamptz
  from portcullis_region.change c
  ${stored ? 'left join portcullis_region.stored s using (run, lane, seq)' : ''}
  where c.run = $1 and c.resource = 'account'
    and ${composite ? `a.home_region = c.key::jsonb->>0 and a.id = c.key::jsonb->>1` : 'a.id = c.key'}
    and a.state = c.after->>'state' and a.organisation_id = c.after->>'organisation_id'
    and a.claimed_at = (${stored ? `coalesce(s.image->>'claimed_at', c.after->>'claimed_at')` : `c.after->>'claimed_at'`})::timestamptz
    and a.email = c.before->>'email'`;
};

interface Size {
  readonly name: string;
  readonly changes: number;
  readonly runs: number;
}

/** The figure that the restore is held to. */
export const restore = restoreOf({ name: 'restore', changes: 100_000, runs: 5 }, PLAIN, 0.6);

/** As many accounts as a replay of the incident has, all of them wrongly claimed. */
export const restore200k = restoreOf({ name: 'restore-200k', changes: 200_000, runs: 3 }, PLAIN, 0.6);
export const restoreTriggers = restoreOf({ name: 'restore', changes: 100_000, runs: 5 }, TRIGGERS, 0.4);
export const restoreComposite = restoreOf({ name: 'restore', changes: 100_000, runs: 5 }, COMPOSITE, 0.4);

function restoreOf({ name, changes: most, runs }: Size, table: BenchTable, reach: number): Bench {
  return {
    name: `${name}${table.suffix}`,
    ours: `restore a run of ${most / 1_000} k changes, planned, fenced, journaled and verified${table.what}`,
    reference: 'one update of all its rows from the journal',
    unit: 's',
    ratio: 'speed',
    reach,
    runs,
    async measure(context) {
      const { changes = most } = context;
      const policy = claimPolicy([REGION], []);
      let run = '';
      const text = updateFromJournal(table);
      const empty = await context.server.template(named(`restore_${changes}`, table), (owner) =>
        fillOn(owner, table, REGION, changes),
      );
      const first = await context.server.copyOf(empty);
      const worker = await openWorker(first, claimJobOn(table));
      run = (await worker.run(REGION, policy, changes)).run.id;
      await worker.close();
      await first.owner.query('vacuum (freeze, analyze)');
      const template = new URL(first.ownerUrl).pathname.slice(1);
      await first.owner.end();
      const ours = (): Promise<number> =>
        withWorker(context.server.copyOf(template), claimJobOn(table), async (again, database) => {
          // Connections are open and the tables known, as in a worker that has been at it.
          await readRestored(again.platform.region, run);
          await database.settle();
          let restored = 0;
          const seconds = await secondsOf(async () => {
            const [report] = await restoreRuns(again.platform, [run], {
              signal: new AbortController().signal,
              paceOf: () => ({ leaseMs: policy.leaseMs, batch: BATCH }),
            });
            restored = report?.report?.applied['claim'] ?? 0;
          });
          if (restored !== changes) throw new Error(`${restored} rows restored, not ${changes}`);
          return seconds;
        });
      const reference = (): Promise<number> =>
        byHand(context.server.copyOf(template), 'workerUrl', async (pool, database) => {
          await database.settle();
          let restored = 0;
          const seconds = await secondsOf(async () => {
            restored = (await pool.query(text, [run])).rowCount ?? 0;
          });
          if (restored !== changes) throw new Error(`${restored} rows restored, not ${changes}`);
          return seconds;
        });
      return inTurns(context, ours, reference);
    },
  };
}
