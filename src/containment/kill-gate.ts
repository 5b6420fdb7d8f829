import { setTimeout as wait } from 'node:timers/promises';
import type pg from 'pg';
import { NAMED_LOCKS } from '../postgres/locks.js';
import { finishRun, PLAN_COLUMNS } from '../runs/finish.js';
import { disconnectAttempt } from '../runs/lease.js';
import { RUN_COLUMNS, type Run } from '../runs/election.js';
import { columnsOf } from '../postgres/columns-of.js';
import { inTransaction } from '../postgres/pool.js';
import { connectBeside, type Beside } from './kill-pool.js';
import { messageOf } from '../kernel/errors.js';
import { spellingsOf } from '../kernel/version-named.js';
import type { KillOrder } from './kill-order.js';
import { gateLockName } from '../gate/lock.js';
import { leaveUnrecorded } from './unrecorded-kill.js';

/** How long a batch in flight may take to end by itself before its statement is cancelled. */
const UNDISTURBED_MS = 50;

/** … and until its connection is ended for it. */
export const GRACE_MS = 1_000;

/** A kill that has taken hold: no batch in its scope can commit any more. */
export interface Killed {
  readonly job: string;
  readonly region: string;
  /**
   * The gate's epoch from now on: a re-arm must name it, so that a later kill wins over it. Of a version's kill, the
   * version's.
   */
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
 * It waits for the gate's lock exclusively, and for no other. Batches that come after it queue behind it; those in
 * flight have a moment to end before they are cancelled, so that many writers on a busy server do not keep a kill
 * waiting, and {@link GRACE_MS} before their connections are ended: nor does a paused process or a lost network. In the
 * same transaction the lanes of the runs in its scope get another attempt, so that a batch is refused by its lane too,
 * whatever snapshot it has. `owner` must be the owner's login, which may end the workers' connections. `tell` is told
 * of a holder that may not be ended.
 *
 * It needs nothing that is newer than the first release's schema: an older database is killed as well.
 */
export async function killGate(
  owner: pg.Pool,
  order: KillOrder,
  graceMs = GRACE_MS,
  tell: (hindrance: string) => void = () => undefined,
): Promise<Killed> {
  const startedAt = performance.now();
  const name = gateLockName(order.job, order.region);
  const done = new AbortController();
  const attempt: Attempt = { name, graceMs, done: done.signal, own: undefined, tell };
  const impatience = endHoldersAfter(owner, attempt);
  let inFlight = 0;
  let epoch = 0;
  try {
    epoch = await inTransaction(owner, async (client) => {
      const { pid, ...schema } = await placeOf(client);
      attempt.own = pid;
      inFlight = await lockCounting(client, name);
      const bumped = (await closeScope(client, [order], schema)).get(order.region) ?? 0;
      if (schema.records) await leaveUnrecorded(client, [{ ...order, epoch: bumped, inFlight }]);
      return bumped;
    });
  } finally {
    done.abort();
  }
  const tookMs = performance.now() - startedAt;
  const { job, region } = order;
  return { job, region, epoch, tookMs, inFlight, terminated: await impatience };
}

/** How long the kills of free gates wait for a row or a table that somebody else has locked. */
const FREE_LOCK_MS = 50;

/**
 * Kills those of one job's gates in a database whose locks nobody has, in one transaction: so few statements that it
 * does not matter how many they are. It waits for no lock of a gate, and hardly for any other: what it does not
 * answer is killed by {@link killGate}, each gate by itself, so that none waits for another. The orders differ in their regions
 * alone.
 */
export async function killFreeGates(
  owner: pg.Pool,
  orders: readonly KillOrder[],
): Promise<ReadonlyMap<string, Killed>> {
  const startedAt = performance.now();
  const epochs = await inTransaction(owner, async (client) => {
    await client.query(`set local lock_timeout = ${FREE_LOCK_MS}`);
    const { free, ...schema } = await placeOf(
      client,
      orders.map(({ job, region }) => gateLockName(job, region)),
    );
    const taken = orders.filter(({ job, region }) => free.includes(gateLockName(job, region)));
    if (taken.length === 0) return new Map<string, number>();
    const bumped = await closeScope(client, taken, schema);
    const kills = taken.map((order) => ({ ...order, epoch: bumped.get(order.region) ?? 0, inFlight: 0 }));
    if (schema.records) await leaveUnrecorded(client, kills);
    return new Map(kills.map(({ region, epoch }) => [region, epoch]));
  });
  const tookMs = performance.now() - startedAt;
  return new Map(
    orders.flatMap(({ job, region }) => {
      const epoch = epochs.get(region);
      return epoch === undefined
        ? []
        : [[region, { job, region, epoch, tookMs, inFlight: 0, terminated: 0 }] as const];
    }),
  );
}

/** A kill on its way. */
interface Attempt {
  readonly name: string;
  readonly graceMs: number;
  /** Aborted when it holds. */
  readonly done: AbortSignal;
  /**
   * The kill's own backend. Where this process stands still between the lock and the next statement, the database
   * sees it hold the lock and say nothing, like a zombie; by the time we look, it may have had the lock for long.
   */
  own: number | undefined;
  readonly tell: (hindrance: string) => void;
}

/** What the database has of what came after the first release. */
interface Schema {
  readonly versionEpochs: boolean;
  readonly records: boolean;
}

/** Where a kill is. Takes those of the named locks that are free. */
async function placeOf(
  client: pg.PoolClient,
  names: readonly string[] = [],
): Promise<Schema & { readonly pid: number | undefined; readonly free: readonly string[] }> {
  const { rows } = await client.query<Schema & { pid: number; free: string[] }>(
    `select pg_backend_pid() as pid,
       to_regclass('portcullis_region.version_epoch') is not null as "versionEpochs",
       to_regclass('portcullis_region.unrecorded_kill') is not null as records,
       array(select name from unnest($2::text[]) name
             where pg_try_advisory_xact_lock($1::integer, hashtext(name))) as free`,
    [NAMED_LOCKS.gate, names],
  );
  return { versionEpochs: false, records: false, pid: undefined, free: [], ...rows[0] };
}

/**
 * The runs that a kill ends: $1 job, $2 regions, $3 one version in its spellings, as ordered first, or null, $4 whether
 * restores too. A database that is not migrated yet, or a program of before, has the old spelling.
 */
const RUNS_IN_SCOPE = `job = $1 and region = any($2) and status in ('planning', 'applying') and not dry_run
       and ($3::text[] is null or version = any($3)) and (restores is null or $4)`;

function scopeOf({ job, version, restoresToo }: KillOrder, regions: readonly string[]): unknown[] {
  const spellings = version === undefined ? null : [...new Set([version, ...spellingsOf(version)])];
  return [job, regions, spellings, restoresToo ?? false];
}

/**
 * Gives the lanes in scope another attempt. One that is locked is left out: nobody else changes a lane without the
 * gate's lock but a takeover, which gives it another attempt itself, and which may stand still.
 */
const LANES = `
  update portcullis_region.lane set attempt = attempt + 1
  where (run, lane) in (
    select l.run, l.lane from portcullis_region.lane l
    where l.run in (select id from portcullis_region.run where ${RUNS_IN_SCOPE})
    for update skip locked)`;

/**
 * Closes what is to be killed, in one statement, whose snapshot is taken under the locks. Answers the new epoch of each
 * region.
 */
async function closeScope(
  client: pg.PoolClient,
  orders: readonly KillOrder[],
  schema: Schema,
): Promise<ReadonlyMap<string, number>> {
  const [order] = orders;
  if (order === undefined) return new Map();
  const scope = [...scopeOf(order, regionsOf(orders)), order.reason, order.by];
  const whole = order.version === undefined;
  const text = whole ? CLOSE : schema.versionEpochs ? QUARANTINE : QUARANTINE_OF_OLD;
  const { rows } = await client.query<{ region: string; epoch: number }>(text, scope);
  const epochs = new Map<string, number>();
  for (const { region, epoch } of rows) epochs.set(region, Math.max(epoch, epochs.get(region) ?? 0));
  return epochs;
}

const CLOSE = `
  with lanes as (${LANES})
  insert into portcullis_region.gate as g
    (job, region, state, reason_code, reason, stopped, killed_at, killed_by)
  select $1, region, 'killed', 'killed', $5, $4, clock_timestamp(), $6 from unnest($2::text[]) region
  on conflict (job, region) do update
  set state = 'killed', epoch = g.epoch + 1, permit_until = '-infinity', variants = '[]',
      reason_code = 'killed', reason = $5, stopped = g.stopped or $4,
      killed_at = clock_timestamp(), killed_by = $6, changed_at = clock_timestamp()
  returning region, epoch`;

const QUARANTINED = `
  with lanes as (${LANES}), named as (
    select ($3::text[])[1] as version
    union select version from portcullis_region.run where job = $1 and region = any($2) and version = any($3)
  ), quarantined as (
    insert into portcullis_region.quarantine (job, version, reason, set_by) select $1, version, $5, $6 from named
    on conflict (job, version) do nothing
  )`;

const QUARANTINE = `${QUARANTINED}
  insert into portcullis_region.version_epoch as v (job, region, version, epoch)
  select $1, region, version, 1 from named, unnest($2::text[]) region
  on conflict (job, region, version) do update set epoch = v.epoch + 1
  returning region, epoch`;

/** On a schema without versions' epochs, the gate's is bumped: the runs of other versions end too. */
const QUARANTINE_OF_OLD = `${QUARANTINED}
  update portcullis_region.gate set epoch = epoch + 1 where job = $1 and region = any($2) returning region, epoch`;

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
    [NAMED_LOCKS.gate, name],
  );
  return rows[0]?.n ?? 0;
}

/** How soon to look again whether somebody holds the lock. */
const LOOK_AGAIN_MS = 50;

/**
 * Cancels the batches that still hold the lock after a while, and ends their connections when the grace is over, until
 * the kill holds. Answers how many it ended. Through a connection of its own: those of the pool may all wait for locks.
 */
async function endHoldersAfter(owner: pg.Pool, attempt: Attempt): Promise<number> {
  const graceOverAt = performance.now() + attempt.graceMs;
  // One that takes its time to end is told again, and is still one.
  const terminated = new Set<number>();
  for (
    let waitMs = Math.min(UNDISTURBED_MS, attempt.graceMs);
    await stillWanted(waitMs, attempt.done);
    waitMs = LOOK_AGAIN_MS
  ) {
    let beside: Beside | undefined;
    let broken: Error | undefined;
    try {
      beside = await connectBeside(owner);
      do {
        if (performance.now() < graceOverAt) await cancelHolders(beside.client, attempt);
        else for (const pid of await endHolders(beside.client, attempt)) terminated.add(pid);
      } while (!beside.shared && (await stillWanted(LOOK_AGAIN_MS, attempt.done)));
    } catch (error) {
      // Tried again for as long as the lock is wanted; whether it can be had is for its own query to say.
      broken = error instanceof Error ? error : new Error(messageOf(error));
    } finally {
      await beside?.done(broken);
    }
  }
  return terminated.size;
}

/**
 * A batch that is cancelled is undone by the database at once, and lets the lock go; its writer asks for the lock again,
 * and finds the gate closed. Does nothing to a process that stands still between two statements.
 */
async function cancelHolders(client: pg.ClientBase, attempt: Attempt): Promise<void> {
  const holders = `select pid, a.usename as login ${HOLDERS} and mode = 'ShareLock'`;
  await signal(client, 'pg_cancel_backend', [holders, [NAMED_LOCKS.gate, attempt.name]], attempt);
}

/**
 * Every holder whose login is not the kill's own is ended, in whatever mode it has the lock and whatever it is at: what
 * a batch or a move of the gate takes is far shorter than the grace. Of the kill's own login, who has the lock alone
 * kills too, or re-arms, and is ended only where nothing has been heard of it for as long as the grace. The same goes
 * for whoever else blocks the kill: by the gate's row, or a lock on its table.
 */
async function endHolders(client: pg.ClientBase, attempt: Attempt): Promise<readonly number[]> {
  const holders = `
    with holder as (
       select pid, mode = 'ShareLock' as is_batch ${HOLDERS}
       union all
       select unnest(pg_blocking_pids($4)), false
     )
     select distinct pid, a.usename as login
     from holder join pg_stat_activity a using (pid)
     where pid is distinct from $4
       and (a.usename is distinct from session_user or is_batch
            or (a.state like 'idle%' and a.state_change < clock_timestamp() - make_interval(secs => $3::float8 / 1000)))`;
  const values = [NAMED_LOCKS.gate, attempt.name, attempt.graceMs, attempt.own ?? null];
  return signal(client, 'pg_terminate_backend', [holders, values], attempt);
}

/**
 * Signals the holders that a query finds, in the statement that finds them: between two, a batch may have let the lock
 * go, and what its connection is at by then would be hit instead, such as another region's batch, or a run's end. Where
 * this login may not signal one of them, they are signalled one at a time, so that it keeps none of the others. Answers
 * whom it reached.
 */
async function signal(
  client: pg.ClientBase,
  send: 'pg_cancel_backend' | 'pg_terminate_backend',
  [holders, values]: readonly [sql: string, values: readonly unknown[]],
  { tell }: Attempt,
): Promise<readonly number[]> {
  const sendTo = async (which: string, more: readonly unknown[] = []): Promise<number[]> => {
    const { rows } = await client.query<{ pid: number; sent: boolean }>(
      `select pid, ${send}(pid) as sent from (${holders}) holder ${which}`,
      [...values, ...more],
    );
    return rows.filter(({ sent }) => sent).map(({ pid }) => pid);
  };
  // Without a code the connection is lost, and with it the way to the others.
  const refused = (error: unknown): void => {
    if (typeof (error as { code?: unknown }).code !== 'string') throw error;
  };
  try {
    return await sendTo('');
  } catch (error) {
    refused(error);
  }
  const reached: number[] = [];
  const { rows } = await client.query<{ pid: number; login: string }>(holders, [...values]);
  for (const { pid, login } of rows) {
    try {
      reached.push(...(await sendTo(`where pid = $${values.length + 1}`, [pid])));
    } catch (error) {
      refused(error);
      tell(
        `${login} (process ${pid}) holds the gate's lock, and this login may not end it: ${messageOf(error)}`,
      );
    }
  }
  return reached;
}

/** Waits, and answers whether the time went by without the kill's being done. */
async function stillWanted(ms: number, done: AbortSignal): Promise<boolean> {
  return wait(ms, true, { signal: done }).catch(() => false);
}

/**
 * Ends the runs that kills of one database have cut short, so that a zombie's run does not stay open until its lease is
 * over. Bookkeeping: to be done once the kills have taken hold. The orders differ in their regions alone. Answers the
 * runs ended.
 */
export async function endKilledRuns(
  owner: pg.Pool,
  orders: readonly KillOrder[],
): Promise<readonly Pick<Run, 'id' | 'region'>[]> {
  const [order] = orders;
  if (order === undefined) return [];
  const values = scopeOf(order, regionsOf(orders));
  // A planner that hangs holds its run's row; what it has planned is not needed any more.
  const planning = await owner.query<Run>(
    `select ${RUN_COLUMNS} from portcullis_region.run where ${RUNS_IN_SCOPE} and status = 'planning'`,
    values,
  );
  for (const run of planning.rows) await disconnectAttempt(owner, run);
  const { rows } = await owner.query<Run>(
    `update portcullis_region.run set attempt = attempt + 1, worker = 'kill' where ${RUNS_IN_SCOPE} returning ${RUN_COLUMNS}`,
    values,
  );
  if (rows.length === 0) return [];
  const code = order.version === undefined ? 'gate-killed' : 'version-quarantined';
  const columns = await columnsOf(owner, 'portcullis_region.plan');
  const planned = PLAN_COLUMNS.filter((column) => columns.has(column));
  const ended: Run[] = [];
  for (const run of rows) {
    const reason = `killed by ${order.by}: ${order.reason}`;
    // Of two kills at once, one ends the run: the other finds an attempt that is not its own.
    if (await finishRun(owner, run, { status: 'killed', code, reason }, planned)) ended.push(run);
  }
  return ended;
}

function regionsOf(orders: readonly KillOrder[]): string[] {
  return orders.map(({ region }) => region);
}
