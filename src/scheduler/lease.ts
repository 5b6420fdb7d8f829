import type pg from 'pg';
import { inTransaction } from '../store/pool.js';
import { RUN_COLUMNS, type Run } from './election.js';
import type { RunStatus } from './run-states.js';

/** Renews the lease of a run on the database's clock. Answers false when the run is another's by now, or over. */
export async function renewLease(pool: pg.Pool, run: Run, leaseMs: number): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update portcullis_region.run
     set lease_until = clock_timestamp() + make_interval(secs => $3::float8 / 1000)
     where id = $1 and attempt = $2 and status in ('planning', 'applying')`,
    [run.id, run.attempt, leaseMs],
  );
  return rowCount === 1;
}

/** Gives a run up at once, for an orderly shutdown: another worker need not wait for the lease to end. */
export async function releaseLease(pool: pg.Pool, run: Run): Promise<void> {
  await pool.query(
    `update portcullis_region.run set lease_until = '-infinity'
     where id = $1 and attempt = $2 and status in ('planning', 'applying')`,
    [run.id, run.attempt],
  );
}

export interface TakeoverScope {
  readonly jobs: readonly string[];
  readonly regions: readonly string[];
  /** The versions this worker can plan with. A restore, or a run that is already applying, needs no job code. */
  readonly versions: readonly string[];
  /** Only this run. */
  readonly run?: string;
  readonly worker: string;
  readonly leaseMs: number;
}

export interface TakenOver {
  readonly run: Run;
  readonly status: Extract<RunStatus, 'planning' | 'applying'>;
  readonly fromWorker: string;
}

/**
 * Takes over one run whose lease has ended, if there is one. The attempt is bumped on the run and on its
 * lanes; the latter waits for a batch in flight, so that two owners can't both commit. A former owner that
 * is still planning is disconnected: its half-copied plan must not stand in the new one's way.
 */
export async function takeOver(pool: pg.Pool, scope: TakeoverScope): Promise<TakenOver | undefined> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<Run & { status: TakenOver['status']; fromWorker: string }>(
      `with stale as (
         select id, worker from portcullis_region.run
         where status in ('planning', 'applying') and lease_until < clock_timestamp()
           and job = any($1) and region = any($2) and (status = 'applying' or restores is not null or version = any($3))
           and ($6::uuid is null or id = $6)
         order by lease_until
         limit 1
         for update skip locked)
       update portcullis_region.run
       set attempt = attempt + 1, worker = $4,
           lease_until = clock_timestamp() + make_interval(secs => $5::float8 / 1000)
       from stale
       where run.id = stale.id
       returning ${RUN_COLUMNS.replace(/^id/, 'run.id')}, status, stale.worker as "fromWorker"`,
      [scope.jobs, scope.regions, scope.versions, scope.worker, scope.leaseMs, scope.run ?? null],
    );
    const taken = rows[0];
    if (!taken) return undefined;
    await client.query('update portcullis_region.lane set attempt = $2 where run = $1', [
      taken.id,
      taken.attempt,
    ]);
    await disconnectPlanner(client, { id: taken.id, attempt: taken.attempt - 1 });
    const { status, fromWorker, ...run } = taken;
    return { run, status, fromWorker };
  });
}

/** Ends the connection that a run's attempt plans through, if there is one: what it has not committed is gone. */
export async function disconnectPlanner(
  client: pg.Pool | pg.PoolClient,
  run: Pick<Run, 'id' | 'attempt'>,
): Promise<void> {
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = $1 and datname = current_database()`,
    [plannerApplicationName(run)],
  );
}

/** The name under which a run's plan is written: how a takeover finds the connection to end. */
export function plannerApplicationName(run: Pick<Run, 'id' | 'attempt'>): string {
  return `portcullis plan ${run.id.slice(0, 18)}/${run.attempt}`;
}
