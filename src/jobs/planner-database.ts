import pg from 'pg';
import Cursor from 'pg-cursor';
import { EXACT_TEXT, surviveLoss } from '../store/pool.js';
import { PortcullisError, messageOf } from '../base/errors.js';
import type { Image, PlannerDatabase } from './contract.js';

/** Rows asked for at a time: enough to hide the round trip, few enough to stay small. */
const ROWS_AT_ONCE = 500;

/** What JavaScript holds exactly; everything else stays PostgreSQL's own text. */
const EXACT = new Set<number>([pg.types.builtins.BOOL, pg.types.builtins.INT2, pg.types.builtins.INT4]);

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format): unknown =>
    EXACT.has(oid) && format !== 'binary' ? pg.types.getTypeParser(oid, 'text') : (text: unknown) => text,
};

/** SQLSTATEs of an attempt to write: read-only transaction, or a right that the role doesn't have. */
const WROTE = new Set(['25006', '42501']);

export interface PlannerPool extends PlannerDatabase {
  close(): Promise<void>;
}

/** Opens the planner's database: `url` must be the planner login's (src/store/logins.ts). */
export function openPlannerDatabase(url: string, maxConnections: number): PlannerPool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'portcullis planner',
    max: maxConnections,
    connectionTimeoutMillis: 5_000,
    types,
    options: EXACT_TEXT,
  });
  surviveLoss(pool);
  return {
    rows: (sql, params) => streamRows(pool, sql, params ?? []),
    close: () => pool.end(),
  };
}

async function* streamRows<Row extends Image>(
  pool: pg.Pool,
  sql: string,
  params: readonly unknown[],
): AsyncGenerator<Row> {
  const client = await pool.connect();
  const cursor = client.query(new Cursor<Row>(sql, [...params]));
  let failure: unknown;
  try {
    for (;;) {
      const rows = await cursor.read(ROWS_AT_ONCE);
      // A loop: yield* would make a promise of each row first.
      for (const row of rows) yield row;
      if (rows.length < ROWS_AT_ONCE) return;
    }
  } catch (error) {
    failure = error;
    throw asPlanError(error);
  } finally {
    // A reader that stops early leaves the cursor open; a connection that failed is not used again.
    if (failure === undefined) await cursor.close();
    client.release(failure instanceof Error ? failure : undefined);
  }
}

function asPlanError(error: unknown): unknown {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string' || !WROTE.has(code)) return error;
  return new PortcullisError('PLAN_WROTE', `the job tried to write while planning: ${messageOf(error)}`, {
    mend: 'yield a change instead: the platform writes it, behind the fence',
    cause: error,
  });
}
