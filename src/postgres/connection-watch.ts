import pg from 'pg';
import { formatDurationMs } from '../kernel/duration.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';

/** How long a connection that owes an answer may be silent. */
export interface Patience {
  /** After so long without a byte, another connection looks at what the server does. In milliseconds. */
  readonly silentMs: number;
  /** How long that look may take. In milliseconds. */
  readonly probeMs: number;
}

export const PATIENCE: Patience = { silentMs: 5_000, probeMs: 3_000 };

/** A connection as the watch sees it. */
export interface Watched {
  readonly patience: Patience;
  /** How another connection to the same server, with the same login, is opened. */
  readonly config: pg.ClientConfig;
  /** The server process behind it, as the server has announced it. */
  readonly processID: number;
  /** Undefined while no answer is owed; otherwise a text that changes with each byte in either direction. */
  owed(): string | undefined;
  /** The server was seen to work on the answer. */
  working(): void;
  /** Ends the connection: everything that waits for an answer on it fails with `error`. */
  lose(error: Error): void;
}

const LOOK_MS = 250;

/** How long a connection may be silent while the server takes no more connections, so that nobody can look. */
const UNSEEN_MS = 300_000;

/** Looks in a row that found nobody at work on the answer, before the connection counts as lost. */
const STRIKES = 2;
/** … and that got no answer at all. */
const UNANSWERED = 3;

interface Silence {
  owed: string;
  since: number;
  strikes: number;
  unanswered: number;
}

const watched = new Map<Watched, Silence | undefined>();
const probing = new Set<string>();
let timer: NodeJS.Timeout | undefined;

/**
 * Ends a wait that cannot end by itself. A connection on which an answer is owed, and on which no byte has moved
 * for a while, is looked at through another connection: while the server works on the answer the wait goes on,
 * however long; where the server waits for us, has no such process any more, or does not answer, the connection is
 * lost, and every wait on it fails with DATABASE_UNREACHABLE.
 */
export function watchConnection(connection: Watched): void {
  watched.set(connection, undefined);
  timer ??= setInterval(look, LOOK_MS).unref();
}

export function forgetConnection(connection: Watched): void {
  watched.delete(connection);
  if (watched.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

/**
 * Ends a connection whose answer nobody wants any more, and its statement on the server: a query of ten minutes
 * would go on there. Does not wait for the server.
 */
export function abandonConnection(connection: Watched, error: Error): void {
  connection.lose(error);
  void ask(connection, (client) =>
    client.query(TERMINATE, [[connection.processID]]).then(() => undefined),
  ).catch(() => undefined);
}

function look(): void {
  const now = performance.now();
  const silent = new Map<string, Watched[]>();
  for (const connection of watched.keys()) {
    const silence = silenceOf(connection, now);
    if (!silence || now - silence.since < connection.patience.silentMs) continue;
    const server = serverOf(connection.config);
    silent.set(server, [...(silent.get(server) ?? []), connection]);
  }
  for (const [server, connections] of silent) {
    if (probing.has(server)) continue;
    probing.add(server);
    void judge(connections).finally(() => probing.delete(server));
  }
}

function silenceOf(connection: Watched, now: number): Silence | undefined {
  const owed = connection.owed();
  const before = watched.get(connection);
  if (owed === before?.owed) return before;
  const silence = owed === undefined ? undefined : { owed, since: now, strikes: 0, unanswered: 0 };
  watched.set(connection, silence);
  return silence;
}

type Seen = 'working' | 'not-working' | 'no-answer';

async function judge(connections: readonly Watched[]): Promise<void> {
  const [first] = connections;
  if (!first) return;
  let seen = new Map<number, Seen>();
  let why = '';
  let full = false;
  try {
    seen = await ask(first, (client) => seenBy(client, connections));
  } catch (error) {
    why = messageOf(error);
    full = isFull(error);
  }
  for (const connection of connections) {
    const silence = watched.get(connection);
    if (full && silence && performance.now() - silence.since < UNSEEN_MS) continue;
    // An answer has come meanwhile: this process may have stood still.
    if (!silence || connection.owed() !== silence.owed) continue;
    take(
      connection,
      silence,
      seen.get(connection.processID) ?? (why === '' ? 'not-working' : 'no-answer'),
      why,
    );
  }
  const lost = connections.filter((connection) => (watched.get(connection)?.strikes ?? 0) >= STRIKES);
  if (lost.length === 0) return;
  // What the server holds for a client that it cannot reach, such as a gate's lock, is held until it knows.
  await ask(first, (client) =>
    client.query(TERMINATE_IDLE, [lost.map(({ processID }) => processID), first.patience.silentMs]),
  ).catch(() => undefined);
  for (const connection of lost) {
    const silence = watched.get(connection);
    if (silence && connection.owed() === silence.owed)
      connection.lose(lostError(silence, 'the server does not work on it'));
  }
}

function take(connection: Watched, silence: Silence, seen: Seen, why: string): void {
  if (seen === 'working') {
    watched.set(connection, { ...silence, since: performance.now(), strikes: 0, unanswered: 0 });
    connection.working();
    return;
  }
  if (seen === 'not-working') silence.strikes += 1;
  else silence.unanswered += 1;
  if (silence.unanswered >= UNANSWERED)
    connection.lose(lostError(silence, `the server does not say why (${why})`));
}

function lostError({ since }: Silence, why: string): PortcullisError {
  const waited = formatDurationMs(performance.now() - since);
  return new PortcullisError(
    'DATABASE_UNREACHABLE',
    `the connection to the database is lost: no answer for ${waited}, and ${why}`,
    { hint: 'check the network and the proxies between this machine and the database' },
  );
}

/** A session that waits for its client, or is idle, does no work; without track_activities only the wait is known. */
const AT_WORK = `state in ('active', 'disabled') and wait_event_type is distinct from 'Client'`;

/** SQLSTATE too_many_connections: of the server, the database or the login. */
export function isFull(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === '53300';
}

const TERMINATE = `
  select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
  where pid = any($1::integer[]) and usename = current_user and pid <> pg_backend_pid()`;

/** A process id may have been given to another session by now: that one has done something lately. */
const TERMINATE_IDLE = `${TERMINATE}
  and not (${AT_WORK}) and state_change < clock_timestamp() - make_interval(secs => $2::float8 / 2000)`;

async function seenBy(client: pg.Client, connections: readonly Watched[]): Promise<Map<number, Seen>> {
  const pids = connections.map(({ processID }) => processID);
  const { rows } = await client.query<{ self: number; pids: number[]; others: boolean }>(
    `select pg_backend_pid() as self,
       coalesce(array_agg(pid) filter (where pid = any($1::integer[])), '{}') as pids,
       count(*) > 0 as others
     from pg_catalog.pg_stat_activity
     where ${AT_WORK} and usename = current_user and datname = current_database() and pid <> pg_backend_pid()`,
    [pids],
  );
  const [row] = rows;
  const { processID } = client as unknown as Pick<Watched, 'processID'>;
  // Behind a pooler the process ids are its own: then any session of this login that works may be the one.
  const pooled = row !== undefined && row.self !== processID;
  const working = new Set(pooled && row.others ? pids : row?.pids);
  return new Map(pids.map((pid) => [pid, working.has(pid) ? 'working' : 'not-working']));
}

/** Asks the server that a connection goes to, over another connection that is bounded in itself. */
async function ask<T>(
  { config, patience }: Watched,
  question: (client: pg.Client) => Promise<T>,
): Promise<T> {
  // eslint-disable-next-line no-restricted-syntax -- two statements that rest on no setting, and must not wait for more
  const client = new pg.Client({
    ...config,
    // A pool keeps it from being listed, and so from being copied.
    ...(config.password !== undefined && { password: config.password }),
    // A pool may read values in its own way: the planner's has arrays as text.
    types: { getTypeParser: pg.types.getTypeParser.bind(pg.types) },
    application_name: 'portcullis connection watch',
    connectionTimeoutMillis: patience.probeMs,
    query_timeout: patience.probeMs,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await question(client);
  } finally {
    // Not waited for: a connection that is cut off does not end by itself.
    const ended = setTimeout(() => client.connection.stream.destroy(), patience.probeMs).unref();
    void client.end().then(() => clearTimeout(ended));
  }
}

function serverOf({ connectionString, host, port, user, database }: pg.ClientConfig): string {
  return connectionString ?? [host, port, user, database].join(' ');
}
