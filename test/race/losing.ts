import type pg from 'pg';
import { onFaultPoint, type RunFaultPoint } from '../../src/kernel/fault-point.js';
import { openPlannerDatabase } from '../../src/worker/planner-database.js';
import type { LoadedJob } from '../../src/worker/registry.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { elect, type Run } from '../../src/runs/election.js';
import { electRestore } from '../../src/runs/election.js';
import { takeOver } from '../../src/runs/lease.js';
import { openPool } from '../../src/postgres/pool.js';
import { atPoint } from '../support/at-point.js';
import { claimEverything, seedAccounts } from '../support/accounts.js';
import type { TestDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy, type TestPlatform } from '../support/platform.js';
import { until } from '../support/until.js';

const PATIENCE = { silentMs: 300, probeMs: 3_000 };
const LEASE_MS = 1_500;
const ORGANISATIONS = 4;
const ACCOUNTS = ORGANISATIONS * 10;

/** A job that loses its connections, and an heir that keeps its own. */
export interface Losing {
  readonly loser: TestPlatform;
  readonly heir: TestPlatform;
  readonly job: LoadedJob;
  /** A region with everything unmanaged, and a flag that gives it to the job. */
  newRegion(): Promise<string>;
  readonly electRun: (region: string) => Promise<Run>;
  /** Carries a run out as `who` would, whatever becomes of it. Answers what it threw, if anything. */
  carryOut(who: TestPlatform, run: Run, status?: 'planning' | 'applying'): Promise<unknown>;
  /** Has the heir take over whatever is left of the region's runs, until none is under way. */
  endAll(region: string): Promise<void>;
  /**
   * Carries a run or a restore out as the loser until a fault point is met, where `lose` is called. Answers its region.
   * With leases this short a busy machine may have it give up sooner: then another one is begun, in another region.
   */
  loseAt(
    begin: (region: string) => Promise<Run>,
    point: RunFaultPoint,
    nth: number,
    lose: () => Promise<unknown>,
  ): Promise<string>;
  /** A restore of a run that the heir has carried out. */
  readonly electRestore: (region: string) => Promise<Run>;
  close(): Promise<void>;
}

/** `through` leads to the same database by a way of its own. */
export async function losing(database: TestDatabase, through: (url: string) => string): Promise<Losing> {
  const heir = testPlatform(database, 'heir');
  const open = (): TestPlatform => ({
    ...heir,
    worker: 'loser',
    region: openPool(through(database.workerUrl), { name: 'loser', patience: PATIENCE }),
    planner: openPlannerDatabase(through(database.plannerUrl), 4, PATIENCE),
  });
  let loser = open();
  const closeLoser = (): Promise<unknown> => Promise.all([loser.region.end(), loser.planner.close()]);
  const job = await loadTestJob(heir, claimEverything('claims'));
  let regions = 0;
  const policy = (at: string) =>
    testPolicy('claims', [at], { leaseMs: LEASE_MS, apply: { lanes: 2, batch: 5, firstBatches: [] } });
  const self: Losing = {
    get loser() {
      return loser;
    },
    heir,
    job,
    newRegion: async () => {
      // What an earlier test has cut off is not to be met again.
      await closeLoser();
      loser = open();
      regions += 1;
      const at = `lost-${regions}`;
      await seedAccounts(database.owner, at, ORGANISATIONS, ACCOUNTS / ORGANISATIONS);
      heir.flags.open('claims', at, { version: job.version, permille: 1000 });
      return at;
    },
    electRun: async (at) => {
      const claim = {
        job: 'claims',
        version: job.version,
        region: at,
        trigger: 'manual',
        worker: 'loser',
      } as const;
      const election = await elect(heir.region, { ...claim, leaseMs: LEASE_MS });
      if (!election.elected) throw new Error(election.why);
      return election.run;
    },
    carryOut: async (who, run, status = 'planning') => {
      const signal = new AbortController().signal;
      return executeRun(who, job, policy(run.region), run, status, { signal }).catch(
        (error: unknown) => error,
      );
    },
    endAll: (at) =>
      until(`no run of ${at} is under way`, async () => {
        const scope = { jobs: ['claims'], regions: [at], versions: [job.version] };
        const taken = await takeOver(heir.region, { ...scope, worker: 'heir', leaseMs: LEASE_MS });
        if (taken) await self.carryOut(heir, taken.run, taken.status);
        const { rowCount } = await database.owner.query(
          `select from portcullis_region.run where region = $1 and status in ('planning', 'applying')`,
          [at],
        );
        return rowCount === 0;
      }).then(() => undefined),
    loseAt: async (begin, point, nth, lose) => {
      let became: unknown;
      for (let tries = 0; tries < 3; tries += 1) {
        const region = await self.newRegion();
        const met: string[] = [];
        const run = await begin(region);
        atPoint(point, nth, () => {
          met.push(point);
          return lose();
        });
        became = await self.carryOut(loser, run);
        onFaultPoint(undefined);
        if (met.length > 0) return region;
        await self.endAll(region);
      }
      throw new Error(`${point} was never met: ${String(became)}`, { cause: became });
    },
    electRestore: async (at) => {
      const run = await self.electRun(at);
      await self.carryOut(heir, run);
      const restore = await electRestore(heir.region, { of: run.id, worker: 'loser', leaseMs: LEASE_MS });
      if (!restore) throw new Error('a restore is under way');
      return restore;
    },
    close: async () => {
      await Promise.all([closeLoser(), heir.planner.close()]);
    },
  };
  return self;
}

/** What the region's accounts and the runs there have come to. */
export async function standing(owner: pg.Pool, region: string): Promise<Record<string, unknown>> {
  const { rows } = await owner.query<Record<string, unknown>>(
    `select (select count(*) from directory.account where home_region = $1 and state = 'MANAGED') as managed,
       (select count(*) from directory.account where home_region = $1
          and (state, organisation_id is null, claimed_at is null) not in (('MANAGED', false, false), ('UNMANAGED', true, true))) as odd,
       (select string_agg(status || ' ' || coalesce((select sum(value::int) from jsonb_each_text(applied)), 0), ', ' order by created_at)
        from portcullis_region.run where region = $1) as runs,
       (select coalesce(sum(conflicts), 0) from portcullis_region.run where region = $1) as conflicts`,
    [region],
  );
  return rows[0] ?? {};
}

export const EXACT = { managed: ACCOUNTS, odd: 0, runs: `succeeded ${ACCOUNTS}`, conflicts: 0 };
export const RESTORED = {
  managed: 0,
  odd: 0,
  runs: `succeeded ${ACCOUNTS}, succeeded ${ACCOUNTS}`,
  conflicts: 0,
};

export const POINTS: readonly (readonly [RunFaultPoint, number])[] = [
  ['run.elected', 1],
  ['plan.started', 1],
  ['plan.copied', 1],
  ['plan.judged', 1],
  ['plan.before-commit', 1],
  ['plan.committed', 1],
  ['plan.before-begin', 1],
  ['apply.before-fence', 3],
  ['apply.fenced', 3],
  ['apply.written', 3],
  ['apply.committed', 3],
  ['run.before-finish', 1],
  ['run.finished', 1],
];

/** A restore judges nothing, and begins with its plan. */
export const RESTORE_POINTS = POINTS.filter(
  ([point]) => point !== 'plan.judged' && point !== 'plan.before-begin',
);
