import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Principal } from '../access/roles.js';
import { killJob } from '../containment/kill.js';
import type { Policy } from '../flags/policy.js';
import { onFaultPoint, type FaultPoint } from '../kernel/fault-point.js';
import { takeOver } from '../runs/lease.js';
import type { Kinds, Tables as Resources } from '../sdk/define-job.js';
import type { DatabasePlatform } from '../worker/database-platform.js';
import type { LoadedJob } from '../worker/registry.js';
import { restoreRuns } from '../worker/restore-runs.js';
import { executeRun } from '../worker/run-loop.js';
import { runOnce } from '../worker/run-once.js';
import { countQuery } from '../worker/units.js';
import type { JobTest, PastRun, TestRun } from './contract.js';
import { readTables } from './tables.js';
import { readTestRun, requireSame } from './test-run.js';

export const TESTER: Principal = { name: 'test', role: 'admin', regions: null };

/** What a test's runs stand on. */
export interface TestSite {
  readonly url: string;
  readonly owner: pg.Pool;
  readonly job: LoadedJob;
  readonly policy: Policy;
  readonly region: string;
  setTime(now: Date): void;
  /** The plan's clock stands still there; undefined: it is the database's. */
  time(): Date | undefined;
  /** A worker: closed with the test. */
  worker(): Promise<DatabasePlatform>;
}

type Listener = (point: FaultPoint) => Promise<void>;

/** Whoever runs now, so that tests in one process do not hear of each other's batches. */
const listening = new AsyncLocalStorage<Listener>();

export function jobTest<R extends Resources, Of extends Kinds<R>>(site: TestSite): JobTest<R, Of> {
  const { owner, region, job } = site;
  const { signal } = new AbortController();
  let current: Promise<DatabasePlatform> | undefined;
  const worker = async (): Promise<DatabasePlatform> => {
    const platform = await (current ??= site.worker());
    const time = site.time();
    return time === undefined ? platform : { ...platform, planClock: { now: () => new Date(time) } };
  };

  const runIn = async (dryRun: boolean, batch?: number, listener?: Listener): Promise<TestRun<R, Of>> => {
    const platform = await worker();
    const before = await readTables(owner);
    const id = randomUUID();
    const work = (): Promise<unknown> =>
      runOnce(platform, { job, policy: inBatches(site.policy, batch) }, region, dryRun, {
        ...{ id, signal, onElected: () => undefined },
      });
    await (listener ? listening.run(listener, work) : work());
    return readTestRun(owner, id, before);
  };

  const restore = async (id: string): Promise<{ conflicts: number }> => {
    const { leaseMs, apply } = site.policy;
    const pace = { leaseMs, batch: apply.batch };
    const [done] = await restoreRuns(await worker(), [id], { signal, paceOf: () => pace });
    if (done?.report?.status === 'succeeded') return { conflicts: done.report.conflicts };
    throw new Error(
      `the restore ended as ${done?.report?.status ?? 'given up'}: ${done?.report?.reason ?? ''}`,
    );
  };

  return {
    url: site.url,
    region,
    sql: async (text, ...values) => {
      const query = text.reduce((all, part, at) => `${all}$${at}${part}`);
      return (await owner.query(query, values as unknown[])).rows as never;
    },
    setTime: (now) => site.setTime(new Date(now)),
    history: (runs) => writeHistory(site, runs),
    plan: () => runIn(true),
    run: ({ batch } = {}) => runIn(false, batch),
    killAfter: async (batches, { batch = 1 } = {}) => {
      const kill = { done: false };
      const run = await runIn(
        false,
        batch,
        nth('apply.committed', batches, async () => {
          kill.done = true;
          const reason = `after ${batches} batches`;
          await killJob(owner, () => owner, { job: site.policy.job, regions: [region], reason }, TESTER);
        }),
      );
      if (!kill.done) throw endedBefore(run, batches);
      return run;
    },
    crashAfter: async (batches, { batch = 1 } = {}) => {
      const lost = await worker();
      const loss = { done: false };
      const before = await readTables(owner);
      const id = randomUUID();
      const crash = nth('apply.written', batches + 1, async () => {
        loss.done = true;
        await cutOff(lost, owner);
      });
      const policy = inBatches(site.policy, batch);
      await listening
        .run(crash, () =>
          runOnce(lost, { job, policy }, region, false, { id, signal, onElected: () => undefined }),
        )
        .catch((error: unknown) => {
          if (!loss.done) throw error;
        });
      if (!loss.done) throw endedBefore(await readTestRun(owner, id, before), batches);
      current = undefined;
      await goOn(await worker(), site, id, policy);
      return readTestRun(owner, id, before);
    },
    restore: ({ id }) => restore(id),
    restoreExactly: async (run, { except = [] } = {}) => {
      const odd = except.find((table) => run.before[table] === undefined);
      if (odd !== undefined)
        throw new TypeError(`restoreExactly: there is no table ${odd}; name it with its schema`);
      const { conflicts } = await restore(run.id);
      const [before, now] = [run.before, await readTables(owner)].map((tables) =>
        Object.fromEntries(Object.entries(tables).filter(([table]) => !except.includes(table))),
      );
      requireSame(before ?? {}, now ?? {}, `the restore is not exact (${conflicts} conflicts)`);
    },
    tables: () => readTables(owner),
  };
}

/** The policy itself, or with batches of one size in one lane. */
function inBatches(policy: Policy, batch: number | undefined): Policy {
  return batch === undefined ? policy : { ...policy, apply: { lanes: 1, batch, firstBatches: [] } };
}

function nth(point: FaultPoint, wanted: number, act: () => Promise<void>): Listener {
  onFaultPoint((at) => listening.getStore()?.(at));
  let met = 0;
  return async (at) => {
    if (at !== point) return;
    met += 1;
    if (met === wanted) await act();
  };
}

function endedBefore(run: TestRun<Resources, Kinds<Resources>>, batches: number): Error {
  return new Error(
    `the run ended before ${batches} batches were written: ${run.status}, ${run.reason}. Make the batches smaller, or the sample larger.`,
  );
}

/** Breaks a worker's connections for good, as when its machine is gone. */
async function cutOff(worker: DatabasePlatform, owner: pg.Pool): Promise<never> {
  void worker.close().catch(() => undefined);
  await owner.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and usename = (select role from portcullis_store.login where login = 'worker')`,
  );
  throw new Error('the worker is lost');
}

/** Has another worker take a run over, without waiting until its lease is over. */
async function goOn(worker: DatabasePlatform, site: TestSite, id: string, policy: Policy): Promise<void> {
  const { owner, region, job } = site;
  await owner.query(`update portcullis_region.run set lease_until = clock_timestamp() where id = $1`, [id]);
  const taken = await takeOver(worker.region, {
    ...{ jobs: [policy.job], regions: [region], versions: [job.version], run: id },
    ...{ worker: worker.worker, leaseMs: policy.leaseMs },
  });
  if (taken === undefined)
    throw new Error('the run of the lost worker was over before another could take it');
  const { signal } = new AbortController();
  await executeRun(worker, job, policy, taken.run, taken.status, { signal });
}

const DAY_MS = 86_400_000;

async function writeHistory(site: TestSite, runs: readonly PastRun<string>[]): Promise<void> {
  const { owner, job, region } = site;
  const rows = runs.map(({ planned, plannedUnits, at }, n) => ({
    planned,
    units: plannedUnits ?? null,
    at: (at ?? new Date(Date.now() - (runs.length - n) * DAY_MS)).toISOString(),
  }));
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, admitted_units,
        planned, applied, planned_units, created_at, planned_at, finished_at)
     select gen_random_uuid(), $1, $2, $3, p.at, 'schedule', 'succeeded', 'applied', 'made up by the test', 'test', p.at, $4,
       p.planned, p.planned, p.units, p.at, p.at, p.at
     from jsonb_to_recordset($5) p (planned jsonb, units jsonb, at timestamptz)`,
    [job.definition.name, job.version, region, await unitsIn(site), JSON.stringify(rows)],
  );
}

async function unitsIn({ owner, job, region }: TestSite): Promise<number> {
  const { rows } = await owner.query<{ n: number }>(countQuery(job.definition.unit), [region]);
  return rows[0]?.n ?? 0;
}
