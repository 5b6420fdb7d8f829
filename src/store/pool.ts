import pg from 'pg';
import { PortcullisError, messageOf } from '../base/errors.js';

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format): unknown => {
    // Our bigints are counters and revisions, far below 2^53.
    if (oid === pg.types.builtins.INT8 && format !== 'binary') return Number;
    return pg.types.getTypeParser(oid, format);
  },
};

export interface PoolOptions {
  /** Shown in pg_stat_activity, behind `portcullis `. */
  readonly name: string;
  /** The most connections. */
  readonly max?: number;
  /** Longest time a single statement may take; 0 or absent: no limit. */
  readonly statementTimeoutMs?: number;
}

/** The settings under which a value's text is exact and the same on every connection. */
export const EXACT_TEXT =
  '-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601 -c extra_float_digits=1 -c bytea_output=hex';

/**
 * A connection pool whose rows have bigints as numbers, timestamps as Dates and jsonb parsed. Connections
 * speak UTC. A connection that breaks while idle is dropped; the next query opens another.
 */
export function openPool(url: string, options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: `portcullis ${options.name}`,
    max: options.max ?? 10,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    types,
    options: EXACT_TEXT,
    ...(options.statementTimeoutMs !== undefined && { statement_timeout: options.statementTimeoutMs }),
  });
  surviveLoss(pool);
  return pool;
}

/**
 * Keeps a connection that breaks from ending the process: while it is idle in the pool, and also between two
 * statements of whoever has taken it, as when a kill ends it. The next statement on it fails, and says so.
 */
export function surviveLoss(pool: pg.Pool): void {
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
}

/** Runs `work` in one transaction on one connection: committed if it resolves, rolled back if it throws. */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
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
