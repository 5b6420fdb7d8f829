import type pg from 'pg';
import { inTransaction } from '../postgres/pool.js';
import { RUN_COLUMNS, type Run } from './election.js';
import type { RunStatus } from './run-states.js';

/** What became of a renewal. */
export interface Renewal {
  /** Whether the run is still this attempt's, and not over. */
  readonly ours: boolean;
  /** Whether a session of the attempt was seen at work: on a statement, and not waiting for its client. */
  readonly working: boolean;
  readonly renewed: boolean;
}

/**
 * Renews the lease of a run on the database's clock, where it makes progress: `fresh` says that it does; otherwise
 * the database must see a session of this attempt at work.
 */
export async function renewLease(pool: pg.Pool, run: Run, leaseMs: number, fresh: boolean): Promise<Renewal> {
  const { rows } = await pool.query<Renewal>(
    `with seen as (
       select exists (
         select from pg_stat_activity
         where application_name = $4 and datname = current_database() and usename = current_user
           and state in ('active', 'disabled') and wait_event_type is distinct from 'Client') as working
     ), own as (
       select id from portcullis_region.run where id = $1 and attempt = $2 and status in ('planning', 'applying')
     ), renewed as (
       update portcullis_region.run r
       set lease_until = clock_timestamp() + make_interval(secs => $3::float8 / 1000)
       from seen
       where r.id = $1 and r.attempt = $2 and r.status in ('planning', 'applying') and ($5 or seen.working)
       returning r.id
     )
     select exists (select from own) as ours, working, exists (select from renewed) as renewed from seen`,
    [run.id, run.attempt, leaseMs, attemptName(run), fresh],
  );
  const [renewal] = rows;
  // Taken over between the statement's snapshot and its update.
  if (renewal?.ours === true && !renewal.renewed && (fresh || renewal.working))
    return { ...renewal, ours: false };
  return renewal ?? { ours: false, working: false, renewed: false };
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
  /** The versions this worker can plan with. A restore, or a run whose plan is judged and not too old, needs no job code. */
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

/** A run in the scope whose lease is over: $1 jobs, $2 regions, $3 versions, $4 one run or null. */
const STALE = `status in ('planning', 'applying') and lease_until < clock_timestamp()
           and job = any($1) and region = any($2)
           and (restores is not null or version = any($3)
                or status = 'applying' and coalesce(expires_at > clock_timestamp(), true)
                or exists (select from portcullis_region.plan p where p.run = run.id and status = 'planning'
                             and coalesce(p.expires_at > clock_timestamp(), true)))
           and ($4::uuid is null or id = $4)`;

function staleScope({ jobs, regions, versions, run }: TakeoverScope): unknown[] {
  return [jobs, regions, versions, run ?? null];
}

/**
 * Takes over one run whose lease has ended, if there is one. First the former owners' connections are ended:
 * one that stands still in the middle of its plan or of a batch holds rows that we need, for as long as it
 * stands. Then the attempt is bumped on the run and on its lanes, so that two owners can't both commit.
 */
export async function takeOver(pool: pg.Pool, scope: TakeoverScope): Promise<TakenOver | undefined> {
  const { rows: late } = await pool.query<Pick<Run, 'id' | 'attempt'>>(
    `select id, attempt from portcullis_region.run where ${STALE}`,
    staleScope(scope),
  );
  if (late.length === 0) return undefined;
  for (const run of late) await disconnectAttempt(pool, run);
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<Run & { status: TakenOver['status']; fromWorker: string }>(
      `with stale as (
         select id, worker from portcullis_region.run
         where ${STALE}
         order by lease_until
         limit 1
         for no key update skip locked)
       update portcullis_region.run
       set attempt = attempt + 1, worker = $5,
           lease_until = clock_timestamp() + make_interval(secs => $6::float8 / 1000)
       from stale
       where run.id = stale.id
       returning ${RUN_COLUMNS.replace(/^id/, 'run.id')}, status, stale.worker as "fromWorker"`,
      [...staleScope(scope), scope.worker, scope.leaseMs],
    );
    const taken = rows[0];
    if (!taken) return undefined;
    await client.query('update portcullis_region.lane set attempt = $2 where run = $1', [
      taken.id,
      taken.attempt,
    ]);
    const { status, fromWorker, ...run } = taken;
    return { run, status, fromWorker };
  });
}

/** Ends the connections that a run's attempt plans and writes through: what it has not committed is gone. */
export async function disconnectAttempt(
  client: pg.Pool | pg.PoolClient,
  run: Pick<Run, 'id' | 'attempt'>,
): Promise<void> {
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = $1 and datname = current_database()`,
    [attemptName(run)],
  );
}

/**
 * Ends the connections of a run's former attempts. A takeover does so before it changes hands; one that was opened in
 * between would keep the new attempt from planning.
 */
export async function disconnectFormerAttempts(
  pool: pg.Pool,
  run: Pick<Run, 'id' | 'attempt'>,
): Promise<void> {
  if (run.attempt === 1) return;
  await pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = any($1) and datname = current_database()`,
    [Array.from({ length: run.attempt - 1 }, (_, n) => attemptName({ id: run.id, attempt: n + 1 }))],
  );
}

/** The name of the connections that an attempt works through: how a takeover or a kill finds them. */
export function attemptName(run: Pick<Run, 'id' | 'attempt'>): string {
  return `portcullis run ${run.id.slice(0, 18)}/${run.attempt}`;
}
