import pg from 'pg';
import { streamRows } from '../journal/stream-rows.js';
import { beginTransaction, openPool } from '../postgres/pool.js';
import type { Patience } from '../postgres/connection-watch.js';
import type { Snapshot } from '../postgres/snapshot.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import type { PlannerDatabase } from '../sdk/contract.js';

/** What JavaScript holds exactly; everything else stays PostgreSQL's own text. */
const EXACT = new Set<number>([pg.types.builtins.BOOL, pg.types.builtins.INT2, pg.types.builtins.INT4]);

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format): unknown =>
    EXACT.has(oid) && format !== 'binary' ? pg.types.getTypeParser(oid, 'text') : (text: unknown) => text,
};

/** SQLSTATEs of an attempt to write: read-only transaction, or a right that the role doesn't have. */
const WROTE = new Set(['25006', '42501']);

/** Who wants a query's rows. */
export interface Wanted {
  /** Ends the queries under way. */
  readonly signal: AbortSignal;
  readonly onProgress: () => void;
}

/** The planner's database as it is now, and as it was. */
export interface Planner extends PlannerDatabase {
  /** The same, for one run. */
  under(wanted: Wanted): Planner;
  /** As a snapshot has it, for as long as the transaction lives that holds that. */
  in(snapshot: Snapshot): PlannerDatabase;
}

export interface PlannerPool extends Planner {
  close(): Promise<void>;
}

/** Opens the planner's database: `url` must be the planner login's (src/postgres/logins.ts). */
export function openPlannerDatabase(url: string, maxConnections: number, patience?: Patience): PlannerPool {
  const pool = openPool(url, {
    name: 'planner',
    max: maxConnections,
    types,
    readOnly: true,
    ...(patience && { patience }),
  });
  return { ...plannerOf(pool), close: () => pool.end() };
}

function plannerOf(pool: pg.Pool, wanted?: Wanted): Planner {
  const options = { say: asPlanError, ...wanted };
  return {
    rows: (sql, params) => streamRows(pool, sql, params ?? [], options),
    in: (snapshot) => ({
      rows: (sql, params) =>
        streamRows(pool, sql, params ?? [], { ...options, begin: (client) => enter(client, snapshot) }),
    }),
    under: (next) => plannerOf(pool, next),
  };
}

/** SQLSTATEs of a snapshot that is not there: which of them, PostgreSQL's version decides. */
const GONE = new Set(['22023', '42704', '55000']);

/** A snapshot is gone with its transaction, as when a kill or a takeover has ended that. */
async function enter(client: pg.PoolClient, { id }: Snapshot): Promise<void> {
  try {
    await beginTransaction(client, { isolation: 'repeatable read', readOnly: true, snapshot: id });
  } catch (error) {
    if (!GONE.has(String((error as { code?: unknown }).code))) throw error;
    throw new PortcullisError('DATABASE_UNREACHABLE', `the plan's transaction is over: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function asPlanError(error: unknown): unknown {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string' || !WROTE.has(code)) return error;
  return new PortcullisError('PLAN_WROTE', `the job tried to write while planning: ${messageOf(error)}`, {
    hint: 'yield a change instead: the platform writes it, behind the fence; to read a table, grant select to the planner’s role',
    cause: error,
  });
}
