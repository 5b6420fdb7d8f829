import { AsyncLocalStorage } from 'node:async_hooks';
import pg from 'pg';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { BoundedClient, BoundedPool, type BoundedPoolConfig } from './bounded-pool.js';
import type { Patience } from './connection-watch.js';
import {
  beginTransaction,
  prepareSession,
  sessionOf,
  type SessionOptions,
  type TransactionMode,
} from './session.js';

export { beginTransaction, type TransactionMode } from './session.js';

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
  /** How soon a connection that says nothing is looked at; absent: see src/postgres/connection-watch.ts. */
  readonly patience?: Patience;
}

/**
 * A connection pool. Each connection is given the settings that correctness rests on (src/postgres/session.ts), and
 * every wait on one ends (src/postgres/bounded-pool.ts). One that breaks while idle is dropped; the next query opens
 * another.
 */
export function openPool(url: string, options: PoolOptions): pg.Pool {
  const pool = new BoundedPool(poolConfig(url, options));
  surviveLoss(pool);
  return pool;
}

/** What {@link openPool} gives a pool, for whoever extends one. */
export function poolConfig(url: string, options: PoolOptions): BoundedPoolConfig {
  return {
    connectionString: url,
    application_name: `portcullis ${options.name}`,
    max: options.max ?? 10,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    types: options.types ?? types,
    ...(options.patience !== undefined && { patience: options.patience }),
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- the pool awaits it; its types do not say so
    onConnect: async (client) => {
      await prepareSession(client, options);
    },
  };
}

/** One connection by itself, with the settings that every connection has. Whoever asked for it ends it. */
export async function connectAlone(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new BoundedClient(config);
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

/**
 * Keeps a connection that breaks from ending the process: while it is idle in the pool, and also between two
 * statements of whoever has taken it, as when a kill ends it. The next statement on it fails, and says so.
 */
export function surviveLoss(pool: pg.Pool): void {
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
}

/**
 * Runs `work` in one transaction on one connection, begun as {@link beginTransaction} does: committed if it
 * resolves, rolled back if it throws or `signal` aborts, whose reason is thrown then.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  { signal, ...mode }: TransactionMode & { readonly signal?: AbortSignal | undefined } = {},
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  let heed: Disposer | undefined;
  try {
    await beginTransaction(client, mode);
    if (signal !== undefined) heed = await cancelOn(signal, pool, client);
    const result = await work(client);
    signal?.throwIfAborted();
    const last = lastly.getStore();
    if (last?.pool === pool) await last.work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((failure: unknown) => {
      broken = failure instanceof Error ? failure : new Error(messageOf(failure));
    });
    signal?.throwIfAborted();
    throw error;
  } finally {
    heed?.();
    client.release(broken);
  }
}

/** What each transaction of a pool does last. */
interface Lastly {
  readonly pool: pg.Pool;
  readonly work: (client: pg.PoolClient) => Promise<void>;
}

const lastly = new AsyncLocalStorage<Lastly>();

/** Does `work`, in which each {@link inTransaction} of that pool does `last` before it commits: both, or neither. */
export function withLast<T>(last: Lastly, work: () => Promise<T>): Promise<T> {
  return lastly.run(last, work);
}

type Disposer = () => void;

/** Cancels what a transaction's connection does once nobody wants it any more: a statement may take minutes. */
async function cancelOn(signal: AbortSignal, pool: pg.Pool, client: pg.PoolClient): Promise<Disposer> {
  signal.throwIfAborted();
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const cancel = (): void => {
    // Where that fails, the statement ends by itself, and what it did is rolled back.
    pool.query('select pg_cancel_backend($1)', [rows[0]?.pid]).catch(() => undefined);
  };
  signal.addEventListener('abort', cancel, { once: true });
  return () => signal.removeEventListener('abort', cancel);
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

/** Whether a connection pooler, such as PgBouncer, stands between this process and the database. */
export async function isPooled(pool: pg.Pool): Promise<boolean> {
  const client = await pool.connect();
  try {
    return (await sessionOf(client)).pooled;
  } finally {
    client.release();
  }
}

/**
 * Checks that the database answers. Throws DATABASE_UNREACHABLE or DATABASE_REFUSED, naming it without its password;
 * DATABASE_SETTING or POOLER_UNSUITABLE where it answers, and cannot be used as it is.
 */
export async function checkReachable(pool: pg.Pool, url: string): Promise<void> {
  try {
    await pool.query('select 1');
  } catch (error) {
    if (error instanceof PortcullisError) throw error;
    if (/unsupported startup parameter/i.test(messageOf(error))) {
      throw new PortcullisError('POOLER_UNSUITABLE', `${withoutPassword(url)}: ${messageOf(error)}`, {
        hint: "take options out of the URL and PGOPTIONS out of the environment, or name the parameter in PgBouncer's ignore_startup_parameters",
        cause: error,
      });
    }
    const unreachable = isUnreachable(error);
    throw new PortcullisError(
      unreachable ? 'DATABASE_UNREACHABLE' : 'DATABASE_REFUSED',
      `${withoutPassword(url)}: ${messageOf(error)}`,
      {
        hint: unreachable
          ? 'check that the server runs and that host and port are right'
          : 'check user, password, database name and pg_hba.conf',
        cause: error,
      },
    );
  }
}
