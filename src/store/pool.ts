import pg from 'pg';
import { PortcullisError, messageOf } from '../base/errors.js';
import { prepareSession, sessionOf, type SessionOptions } from './session.js';

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format): unknown => {
    // Our bigints are counters and revisions, far below 2^53.
    if (oid === pg.types.builtins.INT8 && format !== 'binary') return Number;
    return pg.types.getTypeParser(oid, format);
  },
};

export interface PoolOptions extends SessionOptions {
  /** Shown in pg_stat_activity, behind `portcullis `. */
  readonly name: string;
  /** The most connections. */
  readonly max?: number;
  /** Default: bigints as numbers, timestamps as Dates and jsonb parsed. */
  readonly types?: pg.CustomTypesConfig;
}

/**
 * A connection pool. Each connection is given the settings that correctness rests on (src/store/session.ts). One
 * that breaks while idle is dropped; the next query opens another.
 */
export function openPool(url: string, options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: `portcullis ${options.name}`,
    max: options.max ?? 10,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    types: options.types ?? types,
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- the pool awaits it; its types do not say so
    onConnect: async (client) => {
      await prepareSession(client, options);
    },
  });
  pool.query = ((text: string, values?: unknown[]) => queryAlone(pool, text, values)) as pg.Pool['query'];
  surviveLoss(pool);
  return pool;
}

/** One connection by itself, with the settings that every connection has. Whoever asked for it ends it. */
export async function connectAlone(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(config);
  // Lost while nobody asks it anything: the next question says so.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await prepareSession(client);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

/** A statement by itself; behind a pooler in a transaction of its own, which is begun with the settings. */
async function queryAlone(pool: pg.Pool, text: string, values?: unknown[]): Promise<pg.QueryResult> {
  const client = await pool.connect();
  let failure: Error | undefined;
  try {
    const { pooled } = await sessionOf(client);
    if (pooled) await beginTransaction(client);
    const result = await client.query(text, values);
    if (pooled) await client.query('commit');
    return result;
  } catch (error) {
    failure = error instanceof Error ? error : new Error(messageOf(error));
    throw error;
  } finally {
    // One that failed is not used again, as with pg's own pools.
    client.release(failure);
  }
}

/**
 * Keeps a connection that breaks from ending the process: while it is idle in the pool, and also between two
 * statements of whoever has taken it, as when a kill ends it. The next statement on it fails, and says so.
 */
export function surviveLoss(pool: pg.Pool): void {
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
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
  const session = await sessionOf(client);
  const { isolation = 'read committed', readOnly = session.readOnly, name, snapshot } = mode;
  const begin = `begin isolation level ${isolation} ${readOnly ? 'read only' : 'read write'}`;
  const named = name === undefined ? '' : `; set local application_name = ${pg.escapeLiteral(name)}`;
  const at = snapshot === undefined ? '' : `; set transaction snapshot ${pg.escapeLiteral(snapshot)}`;
  await client.query(`${begin}${at}; ${session.preamble}${named}`);
}

/**
 * Runs `work` in one transaction on one connection, begun as {@link beginTransaction} does: committed if it
 * resolves, rolled back if it throws.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  mode: TransactionMode = {},
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await beginTransaction(client, mode);
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((failure: unknown) => {
      broken = failure instanceof Error ? failure : new Error(messageOf(failure));
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EPIPE',
  'EAI_AGAIN',
  'DATABASE_UNREACHABLE',
]);
/** SQLSTATE classes 08 (connection), 57P (shutting down, starting up) and 53 (out of something), and 25P03: too long silent. */
const UNREACHABLE_STATE = /^(08|57P|53|25P03)/;

/** Whether an error means that the database could not be asked, as opposed to its having said no. */
export function isUnreachable(error: unknown): boolean {
  // Told by what it carries, not by its class: under jest, Node's own errors are of another realm's class.
  if (typeof error !== 'object' || error === null) return false;
  const { code, errors, message } = error as { code?: unknown; errors?: unknown; message?: unknown };
  if (Array.isArray(errors)) return errors.some(isUnreachable);
  if (typeof code === 'string') return UNREACHABLE.has(code) || UNREACHABLE_STATE.test(code);
  return (
    typeof message === 'string' &&
    /timeout exceeded when trying to connect|Connection terminated|connection error and is not queryable|connection timeout/i.test(
      message,
    )
  );
}

/** A URL that may be shown: without its password. */
export function withoutPassword(url: string): string {
  try {
    const parsed = new URL(url);
    if (parsed.password !== '') parsed.password = '***';
    return parsed.toString();
  } catch {
    return '(not a URL)';
  }
}

/** Checks that the database answers. Throws DATABASE_UNREACHABLE or DATABASE_REFUSED, naming it without its password. */
export async function checkReachable(pool: pg.Pool, url: string): Promise<void> {
  try {
    await pool.query('select 1');
  } catch (error) {
    const unreachable = isUnreachable(error);
    throw new PortcullisError(
      unreachable ? 'DATABASE_UNREACHABLE' : 'DATABASE_REFUSED',
      `${withoutPassword(url)}: ${messageOf(error)}`,
      {
        mend: unreachable
          ? 'check that the server runs and that host and port are right'
          : 'check user, password, database name and pg_hba.conf',
        cause: error,
      },
    );
  }
}
