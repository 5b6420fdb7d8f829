import pg from 'pg';
import { streamRows } from '../journal/stream-rows.js';
import { openPool } from '../store/pool.js';
import { PortcullisError, messageOf } from '../base/errors.js';
import type { PlannerDatabase } from './contract.js';

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
  const pool = openPool(url, { name: 'planner', max: maxConnections, types, readOnly: true });
  return {
    rows: (sql, params) => streamRows(pool, sql, params ?? [], asPlanError),
    close: () => pool.end(),
  };
}

function asPlanError(error: unknown): unknown {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string' || !WROTE.has(code)) return error;
  return new PortcullisError('PLAN_WROTE', `the job tried to write while planning: ${messageOf(error)}`, {
    mend: 'yield a change instead: the platform writes it, behind the fence',
    cause: error,
  });
}
