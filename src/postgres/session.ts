import pg from 'pg';
import { PortcullisError, messageOf } from '../kernel/errors.js';

/** A setting that a promise rests on. A database, a role or a pooler may have given it any other value. */
export interface SessionSetting {
  readonly name: string;
  /** What it is set to on every connection and in every transaction. */
  readonly value: string | ((found: Found) => string);
  /** Only a superuser may change it: set where it has another value, and refused where it cannot be. */
  readonly privileged?: true;
}

/**
 * Every setting that correctness rests on, whatever the database, the role or a pooler says; a test takes out one
 * after the other and expects something to fail. Those that the server's version does not have are left out.
 * `client_encoding` is stated by the driver; `default_transaction_deferrable` has no effect at these isolation levels.
 */
export const SETTINGS: readonly SessionSetting[] = [
  // Lone statements are transactions too, and begin under these.
  { name: 'default_transaction_isolation', value: 'read committed' },
  { name: 'default_transaction_read_only', value: 'off' },
  // Waits are bounded where they begin, not by a limit that was meant for a web application.
  { name: 'statement_timeout', value: '0' },
  { name: 'lock_timeout', value: '0' },
  { name: 'idle_in_transaction_session_timeout', value: '0' },
  { name: 'idle_session_timeout', value: '0' },
  { name: 'transaction_timeout', value: '0' },
  // A kill that was acknowledged survives a crash of the server. What waits for more than that may go on doing so.
  {
    name: 'synchronous_commit',
    value: ({ settings: { synchronous_commit: is } }) => (is === 'remote_apply' ? is : 'on'),
  },
  // Triggers fire and foreign keys are checked.
  { name: 'session_replication_role', value: 'origin', privileged: true },
  // A refused row fails its statement, not the connection.
  { name: 'exit_on_error', value: 'off' },
  { name: 'row_security', value: 'on' },
  // The schemas that the connection has, without pg_catalog, which is then looked in first: nobody's function takes
  // the place of PostgreSQL's own. The others stay, since triggers of the tables that jobs change may rely on them.
  { name: 'search_path', value: ({ path }) => path ?? '""' },
  // The text of a value is exact, and reads back as the same value.
  { name: 'TimeZone', value: 'UTC' },
  { name: 'DateStyle', value: 'ISO, MDY' },
  { name: 'IntervalStyle', value: 'iso_8601' },
  { name: 'extra_float_digits', value: '1' },
  { name: 'bytea_output', value: 'hex' },
  { name: 'lc_monetary', value: 'C' },
  { name: 'array_nulls', value: 'on' },
  { name: 'xmloption', value: 'content' },
  // What a backslash in our own SQL means.
  { name: 'standard_conforming_strings', value: 'on' },
];

/** What a connection's transactions are begun with. */
export interface Session {
  /**
   * Whether a pooler stands between: then the next transaction may be on another connection of the server's, and
   * nothing outlives a transaction.
   */
  readonly pooled: boolean;
  readonly options: SessionOptions;
  /** The statements that follow `begin`. */
  readonly preamble: string;
}

export interface SessionOptions {
  /** Lone statements and transactions may not write. */
  readonly readOnly?: boolean | undefined;
  /** The longest time that one statement may take; 0 or absent: no limit. */
  readonly statementTimeoutMs?: number | undefined;
  /** The longest time that one statement may wait for a lock, in whole seconds; absent: no limit. */
  readonly lockTimeoutS?: number | undefined;
}

const sessions = new WeakMap<pg.ClientBase, Session>();

/** The session of a connection; one that nobody has prepared yet is prepared now. */
export async function sessionOf(client: pg.ClientBase): Promise<Session> {
  return sessions.get(client) ?? prepareSession(client);
}

export interface TransactionMode {
  /** Default `read committed`: each statement sees what was committed before it began. */
  readonly isolation?: 'read committed' | 'repeatable read';
  /** Default: as the pool was opened. */
  readonly readOnly?: boolean;
  /** The snapshot that it reads, exported by a transaction that is still there; it must be `repeatable read`. */
  readonly snapshot?: string;
  /** The connection's application_name for as long as the transaction lasts: how others find it. */
  readonly name?: string;
}

/**
 * Begins a transaction that states what it rests on: its isolation level, whether it writes, and every setting that
 * correctness rests on, whatever the database, the role or a pooler has as the default. One round trip; no
 * snapshot is taken yet. Whoever manages the connection ends it with `commit` or `rollback`.
 */
export async function beginTransaction(client: pg.ClientBase, mode: TransactionMode = {}): Promise<void> {
  await client.query(beginText(await sessionOf(client), mode));
}

function beginText(session: Session, mode: TransactionMode): string {
  const { isolation = 'read committed', readOnly = session.options.readOnly === true, name, snapshot } = mode;
  const begin = `begin isolation level ${isolation} ${readOnly ? 'read only' : 'read write'}`;
  const named = name === undefined ? '' : `; set local application_name = ${pg.escapeLiteral(name)}`;
  const at = snapshot === undefined ? '' : `; set transaction snapshot ${pg.escapeLiteral(snapshot)}`;
  return `${begin}${at}; ${session.preamble}${named}`;
}

/** How long the server may take to answer a connection's first questions. */
const PREPARE_MS = 5_000;

/**
 * Gives a new connection the settings that correctness rests on and reads them back; finds out whether a pooler
 * stands between. Throws DATABASE_SETTING where a setting cannot be changed, POOLER_UNSUITABLE where the pooler
 * allows no transactions.
 */
export async function prepareSession(client: pg.ClientBase, options: SessionOptions = {}): Promise<Session> {
  const found = await look(client);
  const wanted = wantedOf(found, options);
  const preamble = assignments('set local', wanted);
  const pooled = found.pid !== (client as { processID?: unknown }).processID;
  const now = pooled
    ? await tryTransaction(client, preamble).catch(refuseSetting(found))
    : await set(client, wanted, found);
  verify(now, wanted);
  const session = { pooled, options, preamble };
  sessions.set(client, session);
  if (pooled) keepToTransactions(client, session);
  return session;
}

/**
 * Undoes what others' SQL has done to a connection that is in no transaction: settings, advisory locks, prepared
 * statements, temporary tables, channels listened to. Answers false where it cannot: behind a pooler, or where the
 * connection is lost. Then the connection must be closed.
 */
export async function cleanSession(client: pg.ClientBase): Promise<boolean> {
  const session = sessions.get(client);
  if (!session || session.pooled) return false;
  try {
    const discard: pg.QueryConfig & { query_timeout: number } = {
      text: 'discard all',
      query_timeout: PREPARE_MS,
    };
    await client.query(discard);
    // The driver prepares a named statement once, and believes that it is still there.
    (client as unknown as { connection: { parsedStatements: object } }).connection.parsedStatements = {};
    await prepareSession(client, session.options);
    return true;
  } catch {
    return false;
  }
}

interface Statement extends pg.QueryConfig {
  readonly submit?: unknown;
  readonly query_timeout?: number | undefined;
}

interface Connection {
  query(...all: unknown[]): unknown;
  /** `I`: in no transaction. */
  getTransactionStatus(): string | null;
}

/**
 * Behind a pooler, each lone statement runs in a transaction of its own, which is begun with the settings; and none is
 * prepared under a name, since the next one may be on a connection that does not know it, or has another of that name.
 */
function keepToTransactions(client: pg.ClientBase, session: Session): void {
  const connection = client as unknown as Connection;
  const plain = connection.query.bind(connection);
  const send = (statement: Statement) => plain(statement) as Promise<pg.QueryResult>;
  const alone = async (statement: Statement): Promise<pg.QueryResult> => {
    const { query_timeout } = statement;
    await send({ text: beginText(session, {}), query_timeout });
    try {
      const result = await send(statement);
      await send({ text: 'commit', query_timeout });
      return result;
    } catch (error) {
      // Of a connection that is lost, the first error says why.
      await send({ text: 'rollback' }).catch(() => undefined);
      throw error;
    }
  };
  const query = (first: string | Statement, ...rest: unknown[]): unknown => {
    // A cursor or a COPY, which are of a transaction that was begun.
    if (typeof first === 'object' && typeof first.submit === 'function') return plain(first, ...rest);
    const values = rest.find(Array.isArray);
    const statement = typeof first === 'string' ? { text: first } : { ...first, name: undefined };
    const whole = values === undefined ? statement : { ...statement, values };
    const lone = connection.getTransactionStatus() === 'I' && !/^(begin|commit|rollback)\b/.test(whole.text);
    const result = lone ? alone(whole) : send(whole);
    const done = rest.find((each) => typeof each === 'function') as
      ((error: unknown, result?: pg.QueryResult) => void) | undefined;
    if (!done) return result;
    result.then(
      (answered) => done(null, answered),
      (error: unknown) => done(error),
    );
    return undefined;
  };
  connection.query = query;
}

/** What a connection has. */
interface Found {
  readonly pid: number;
  /** Null: the server's version does not have it. */
  readonly settings: Readonly<Record<string, string | null>>;
  /** The schemas that names are looked up in, as a list in SQL; null where there are none but pg_catalog. */
  readonly path: string | null;
}

/** Answers with text, which is not parsed: a pool may have parsers of its own. */
const LOOK = (): string => `
  select pg_catalog.json_build_object(
    'pid', pg_catalog.pg_backend_pid(),
    'settings', (
      select pg_catalog.json_object_agg(name, pg_catalog.current_setting(name, true))
      from pg_catalog.unnest(array[${SETTINGS.map(({ name }) => pg.escapeLiteral(name)).join(', ')}]) as name),
    'path', (
      select pg_catalog.string_agg(pg_catalog.quote_ident(schema), ', ')
      from pg_catalog.unnest(pg_catalog.current_schemas(false)) as schema
      where schema operator(pg_catalog.<>) 'pg_catalog'
        and not pg_catalog.starts_with(schema::pg_catalog.text, 'pg_temp_')))::pg_catalog.text as found`;

const LOOKING = 'begin isolation level read committed read only';

/** Reads the settings as the database, the role or a pooler has them. */
function look(client: pg.ClientBase): Promise<Found> {
  return answer(client, `${LOOKING}; set local statement_timeout = 0; ${LOOK()}; commit`);
}

/** Begins a transaction with the settings, as every one will be, and reads them back in it. */
async function tryTransaction(client: pg.ClientBase, preamble: string): Promise<Found> {
  try {
    await client.query(`${LOOKING}; ${preamble}`);
  } catch (error) {
    if (!/transaction blocks not allowed/i.test(messageOf(error))) throw error;
    throw new PortcullisError(
      'POOLER_UNSUITABLE',
      `a connection pooler in statement mode allows no transactions: ${messageOf(error)}`,
      {
        hint: "set PgBouncer's pool_mode to transaction or session, or connect to PostgreSQL directly",
        cause: error,
      },
    );
  }
  const found = await answer(client, LOOK());
  await client.query('commit');
  return found;
}

/** Sets the settings for as long as the connection lasts, and reads them back. */
async function set(client: pg.ClientBase, wanted: ReadonlyMap<string, string>, found: Found): Promise<Found> {
  return answer(client, `${assignments('set', wanted)}; ${LOOK()}`).catch(refuseSetting(found));
}

type Answer = pg.QueryResult<{ found: string }>;

/** One or more statements in one message, one of which answers with a row. */
async function answer(client: pg.ClientBase, text: string): Promise<Found> {
  const query: pg.QueryConfig & { query_timeout: number } = { text, query_timeout: PREPARE_MS };
  const results = (await client.query(query)) as Answer | readonly Answer[];
  const [row] = [results].flat().flatMap(({ rows }) => rows);
  if (!row) throw new Error('the database did not answer which settings it has');
  return JSON.parse(row.found) as Found;
}

function wantedOf(found: Found, options: SessionOptions): ReadonlyMap<string, string> {
  const own: Record<string, string> = {
    ...(options.readOnly === true && { default_transaction_read_only: 'on' }),
    ...(options.statementTimeoutMs !== undefined && { statement_timeout: `${options.statementTimeoutMs}ms` }),
    ...(options.lockTimeoutS !== undefined && { lock_timeout: `${options.lockTimeoutS}s` }),
  };
  const wanted = new Map<string, string>();
  for (const { name, value, privileged } of SETTINGS) {
    const is = found.settings[name];
    if (is === null || is === undefined || (privileged && is === value)) continue;
    wanted.set(name, own[name] ?? (typeof value === 'string' ? value : value(found)));
  }
  return wanted;
}

function assignments(verb: 'set' | 'set local', wanted: ReadonlyMap<string, string>): string {
  return [...wanted]
    .map(([name, value]) => {
      // Of lists, each element is a name by itself.
      const listed = name === 'search_path' && value !== '""';
      return `${verb} ${name} = ${listed ? value : pg.escapeLiteral(value === '""' ? '' : value)}`;
    })
    .join('; ');
}

function verify({ settings }: Found, wanted: ReadonlyMap<string, string>): void {
  for (const [name, value] of wanted) {
    const is = settings[name];
    // A time is read back in another unit.
    if (is !== value && name !== 'statement_timeout')
      throw settingError(name, is ?? 'unknown', `it stays so after it was set to ${value}`);
  }
}

/** SQLSTATEs of a setting that this login may not change, or not to that value. */
const UNCHANGEABLE = new Set(['42501', '55P02', '22023']);

function refuseSetting(found: Found) {
  return (error: unknown): never => {
    const code = String((error as { code?: unknown }).code);
    if (!UNCHANGEABLE.has(code)) throw error;
    const name = /"([a-z_]+)"/i.exec(messageOf(error))?.[1] ?? 'a setting';
    throw settingError(name, found.settings[name] ?? 'unknown', messageOf(error), error);
  };
}

function settingError(name: string, is: string, why: string, cause?: unknown): PortcullisError {
  return new PortcullisError('DATABASE_SETTING', `${name} is ${is}: ${why}`, {
    hint: `as a superuser: alter role … reset ${name}, and alter database … reset ${name}`,
    cause,
  });
}
