import { setTimeout as wait } from 'node:timers/promises';
import type pg from 'pg';
import { finishRun } from '../scheduler/finish.js';
import { disconnectAttempt } from '../scheduler/lease.js';
import { RUN_COLUMNS, type Run } from '../scheduler/election.js';
import { connectAlone, inTransaction } from '../store/pool.js';
import { GATE_LOCK, gateLockName } from './lock.js';

/** How long a batch in flight may take to end by itself before its statement is cancelled. */
const UNDISTURBED_MS = 50;

/** … and until its connection is ended for it. */
export const GRACE_MS = 1_000;

export interface KillOrder {
  readonly job: string;
  readonly region: string;
  readonly reason: string;
  readonly by: string;
  /** Stop restores too: `stop --all`. */
  readonly restoresToo?: boolean;
  /** For practice. */
  readonly drill?: boolean;
  /** Only this version: it is quarantined in the region, and the gate stays open for others. */
  readonly version?: string;
}

/** A kill that has taken hold: no batch in its scope can commit any more. */
export interface Killed {
  readonly job: string;
  readonly region: string;
  /** The gate's epoch from now on: a re-arm must name it, so that a later kill wins over it. */
  readonly epoch: number;
  readonly tookMs: number;
  /** Batches in flight when the kill came, and how many of their connections had to be ended. */
  readonly inFlight: number;
  readonly terminated: number;
}

/**
 * Kills a gate. When this answers, no batch that was under way can commit and no new one can begin, whatever
 * has become of the processes behind them.
 *
 * It waits for the gate's lock exclusively. Batches that come after it queue behind it; those in flight have a
 * moment to end before they are cancelled, so that many writers on a busy server do not keep a kill waiting, and
 * {@link GRACE_MS} before their connections are ended: nor does a paused process or a lost network. `owner` must be
 * the owner's login, which may end the workers' connections.
 */
export async function killGate(owner: pg.Pool, order: KillOrder, graceMs = GRACE_MS): Promise<Killed> {
  const startedAt = performance.now();
  const name = gateLockName(order.job, order.region);
  const taken = new AbortController();
  const attempt: Attempt = { name, graceMs, taken: taken.signal, own: undefined };
  const impatience = endHoldersAfter(owner, attempt);
  let inFlight = 0;
  let epoch = 0;
  try {
    epoch = await inTransaction(owner, async (client) => {
      attempt.own = await backendOf(client);
      inFlight = await lockCounting(client, name);
      taken.abort();
      return order.version === undefined ? close(client, order) : quarantine(client, order, order.version);
    });
  } finally {
    taken.abort();
  }
  const tookMs = performance.now() - startedAt;
  const { job, region } = order;
  return { job, region, epoch, tookMs, inFlight, terminated: await impatience };
}

/** A kill on its way to the gate's lock. */
interface Attempt {
  readonly name: string;
  readonly graceMs: number;
  readonly taken: AbortSignal;
  /**
   * The kill's own backend. Where this process stands still between the lock and the next statement, the database
   * sees it hold the lock and say nothing, like a zombie; by the time we look, it may have had the lock for long.
   */
  own: number | undefined;
}

async function backendOf(client: pg.PoolClient): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid;
}

async function close(client: pg.PoolClient, order: KillOrder): Promise<number> {
  const { rows } = await client.query<{ epoch: number }>(
    `insert into portcullis_region.gate as g
       (job, region, state, reason_code, reason, stopped, killed_at, killed_by)
     values ($1, $2, 'killed', 'killed', $3, $4, clock_timestamp(), $5)
     on conflict (job, region) do update
     set state = 'killed', epoch = g.epoch + 1, permit_until = '-infinity', variants = '[]',
         reason_code = 'killed', reason = $3, stopped = g.stopped or $4,
         killed_at = clock_timestamp(), killed_by = $5, changed_at = clock_timestamp()
     returning epoch`,
    [order.job, order.region, order.reason, order.restoresToo ?? false, order.by],
  );
  return rows[0]?.epoch ?? 0;
}

/** The epoch is bumped here too: what runs of other versions lose is their run under way, not their leave. */
async function quarantine(client: pg.PoolClient, order: KillOrder, version: string): Promise<number> {
  await client.query(
    `insert into portcullis_region.quarantine (job, version, reason, set_by) values ($1, $2, $3, $4)
     on conflict (job, version) do nothing`,
    [order.job, version, order.reason, order.by],
  );
  const { rows } = await client.query<{ epoch: number }>(
    `update portcullis_region.gate set epoch = epoch + 1 where job = $1 and region = $2 returning epoch`,
    [order.job, order.region],
  );
  return rows[0]?.epoch ?? 0;
}

const HOLDERS = `
  from pg_locks join pg_stat_activity a using (pid)
  where locktype = 'advisory' and classid = $1 and objid = hashtext($2)::oid and objsubid = 2 and granted
    and database = (select oid from pg_database where datname = current_database())
    and pid <> pg_backend_pid()`;

/**
 * Takes the gate's lock alone, and answers how many batches shared it when it was asked for. In one statement, which
 * counts and then waits: with 32 writers at work, a round trip of its own for the count lets more batches begin.
 */
async function lockCounting(client: pg.PoolClient, name: string): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    `with held as materialized (select count(*) as n ${HOLDERS} and mode = 'ShareLock')
     select n, pg_advisory_xact_lock($1::integer, hashtext($2)) from held`,
    [GATE_LOCK, name],
  );
  return rows[0]?.n ?? 0;
}

/** How soon to look again whether somebody holds the lock. */
const LOOK_AGAIN_MS = 50;

/**
 * Cancels the batches that still hold the lock after a while, and ends their connections when the grace is over, until
 * it is taken. Answers how many it ended. Through a connection of its own: those of the pool may all be waiting for locks.
 */
async function endHoldersAfter(owner: pg.Pool, attempt: Attempt): Promise<number> {
  const graceOverAt = performance.now() + attempt.graceMs;
  let terminated = 0;
  for (
    let waitMs = Math.min(UNDISTURBED_MS, attempt.graceMs);
    await stillWanted(waitMs, attempt.taken);
    waitMs = LOOK_AGAIN_MS
  ) {
    let client: pg.Client | undefined;
    try {
      client = await connectAlone(owner.options);
      do {
        if (performance.now() < graceOverAt) await cancelHolders(client, attempt);
        else terminated += await endHolders(client, attempt);
      } while (await stillWanted(LOOK_AGAIN_MS, attempt.taken));
    } catch {
      // Tried again for as long as the lock is wanted; whether it can be had is for its own query to say.
    } finally {
      await client?.end().catch(() => undefined);
    }
  }
  return terminated;
}

/**
 * A batch that is cancelled is undone by the database at once, and lets the lock go; its writer asks for the lock again,
 * and finds the gate closed. Does nothing to a process that stands still between two statements.
 */
async function cancelHolders(client: pg.Client, { name }: Attempt): Promise<void> {
  await client.query(`select pg_cancel_backend(pid) ${HOLDERS} and mode = 'ShareLock'`, [GATE_LOCK, name]);
}

/**
 * Who has the lock alone closes or opens the gate, or kills it too, and is no zombie; unless nothing has been
 * heard of it for as long as the grace, in the middle of its transaction.
 */
async function endHolders(client: pg.Client, { name, graceMs, own }: Attempt): Promise<number> {
  const { rows } = await client.query<{ ended: boolean }>(
    `select pg_terminate_backend(pid) as ended ${HOLDERS} and pid is distinct from $4
       and (mode = 'ShareLock' or (a.state like 'idle in transaction%'
              and a.state_change < clock_timestamp() - make_interval(secs => $3::float8 / 1000)))`,
    [GATE_LOCK, name, graceMs, own ?? null],
  );
  return rows.filter(({ ended }) => ended).length;
}

/** Waits, and answers whether the time went by without the lock's being taken. */
async function stillWanted(ms: number, taken: AbortSignal): Promise<boolean> {
  return wait(ms, true, { signal: taken }).catch(() => false);
}

/**
 * Ends the runs that a kill has cut short, so that a zombie's run does not stay open until its lease is over.
 * Bookkeeping: to be done once the kill has taken hold. Answers the runs ended.
 */
export async function endKilledRuns(owner: pg.Pool, order: KillOrder): Promise<string[]> {
  const scope = `job = $1 and region = $2 and status in ('planning', 'applying') and not dry_run
       and ($3::text is null or version = $3) and (restores is null or $4)`;
  const values = [order.job, order.region, order.version ?? null, order.restoresToo ?? false];
  // A planner that hangs holds its run's row; what it has planned is not needed any more.
  const planning = await owner.query<Run>(
    `select ${RUN_COLUMNS} from portcullis_region.run where ${scope} and status = 'planning'`,
    values,
  );
  for (const run of planning.rows) await disconnectAttempt(owner, run);
  const { rows } = await owner.query<Run>(
    `update portcullis_region.run set attempt = attempt + 1, worker = 'kill' where ${scope} returning ${RUN_COLUMNS}`,
    values,
  );
  const code = order.version === undefined ? 'gate-killed' : 'version-quarantined';
  const ended: string[] = [];
  for (const run of rows) {
    const reason = `killed by ${order.by}: ${order.reason}`;
    // Of two kills at once, one ends the run: the other finds an attempt that is not its own.
    if (await finishRun(owner, run, { status: 'killed', code, reason })) ended.push(run.id);
  }
  return ended;
}
