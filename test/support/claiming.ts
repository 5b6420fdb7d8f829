import { afterAll, beforeEach } from '@jest/globals';
import { onFaultPoint, type FaultPoint } from '../../src/kernel/fault-point.js';
import { reconcileGate, type Reconciled } from '../../src/gate/permit.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import type { LoadedJob } from '../../src/worker/registry.js';
import { elect } from '../../src/runs/election.js';
import { claimEverything, seedAccounts } from './accounts.js';
import { atPoint } from './at-point.js';
import type { TestDatabase } from './database.js';
import { loadTestJob, testPlatform, testPolicy, type TestPlatform } from './platform.js';

/**
 * The job `claims` at work in a region of each test's own: ten organisations with twenty accounts each, a
 * flag that is open for everyone, and runs in batches of ten.
 */
export interface Claiming {
  readonly platform: TestPlatform;
  readonly job: LoadedJob;
  /** The share that the flag gives at first: everything to the job's version. */
  readonly all: { readonly version: string; readonly permille: number };
  region: string;
  /** How many of the region's accounts are managed. */
  managed(): Promise<number>;
  /** Carries what the flag says now to the gate. */
  reconcile(): Promise<Reconciled>;
  /** Runs the job, and calls `act` the `nth` time that a fault point is met. */
  runUntil(point: FaultPoint, nth: number, act: () => Promise<unknown>): Promise<RunReport | undefined>;
  /** Runs the job to its end. */
  run(): Promise<RunReport | undefined>;
}

/** To be called once, at a test file's top level. */
export async function claiming(database: TestDatabase): Promise<Claiming> {
  const platform = testPlatform(database);
  const job = await loadTestJob(platform, claimEverything('claims'));
  const all = { version: job.version, permille: 1000 };
  let regions = 0;
  const here: Claiming = {
    platform,
    job,
    all,
    region: '',
    managed: async () => {
      const { rows } = await database.owner.query<{ n: number }>(
        `select count(*) as n from directory.account where home_region = $1 and state = 'MANAGED'`,
        [here.region],
      );
      return rows[0]?.n ?? -1;
    },
    reconcile: () =>
      reconcileGate(
        platform.region,
        'claims',
        here.region,
        () => platform.flags.look(`claims.${here.region}`),
        30_000,
      ),
    runUntil: async (point, nth, act) => {
      atPoint(point, nth, act);
      const policy = testPolicy('claims', [here.region], {
        apply: { lanes: 1, batch: 10, firstBatches: [] },
      });
      const election = await elect(platform.region, {
        job: 'claims',
        version: job.version,
        region: here.region,
        trigger: 'manual',
        worker: platform.worker,
        leaseMs: policy.leaseMs,
      });
      if (!election.elected) throw new Error(election.why);
      const signal = new AbortController().signal;
      return executeRun(platform, job, policy, election.run, 'planning', { signal });
    },
    run: () => here.runUntil('run.finished', 0, () => Promise.resolve()),
  };
  beforeEach(async () => {
    onFaultPoint(undefined);
    regions += 1;
    here.region = `region-${regions}`;
    await seedAccounts(database.owner, here.region, 10, 20);
    platform.flags.open('claims', here.region, all);
  });
  afterAll(() => platform.planner.close());
  return here;
}
