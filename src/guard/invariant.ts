import Cursor from 'pg-cursor';
import pg from 'pg';
import { messageOf } from '../base/errors.js';
import { formatDurationMs } from '../base/duration.js';
import { shorten } from '../base/text.js';
import type { InvariantRule } from '../flags/guard-policy.js';
import { isUnreachable } from '../store/pool.js';
import { figure } from './in-words.js';
import type { Judged } from './verdict.js';

/** Rows of evidence that are kept, of how many are counted, and how long a value in one may be. */
const ROWS_KEPT = 20;
const ROWS_COUNTED = 10_000;
const VALUE_CHARACTERS = 300;

/** A plan of more changes is joined by hashing: nothing is known yet of the rows it has just written. */
const FEW_CHANGES = 2_000;

/**
 * Asks whether a policy's invariant holds of a plan, in the transaction that has written it, as the role that
 * can only read (src/store/logins.ts). A query that fails or takes too long is `unreachable`; nothing that it
 * does outlives it. Figures: observed (rows), atLeast where there are more than are counted, timeoutMs.
 */
export async function judgeInvariant(
  client: pg.PoolClient,
  run: string,
  planned: number,
  rule: InvariantRule,
): Promise<Judged> {
  const { name, timeoutMs } = rule;
  await client.query('savepoint guard');
  try {
    await takeReader(client, run, planned, timeoutMs);
    const { rows, more } = await askFor(client, rule.sql);
    await client.query('rollback to savepoint guard');
    const figures = { observed: rows.length, atLeast: more, timeoutMs };
    if (rows.length === 0) return { verdict: 'pass', rule: name, reason: `${name}: holds`, figures };
    const count = `${more ? 'more than ' : ''}${figure(rows.length)}`;
    return {
      verdict: 'fail',
      rule: name,
      reason: `${name}: ${count} planned ${rows.length === 1 ? 'change breaks' : 'changes break'} it, such as ${sample(rows[0])}`,
      figures,
      evidence: rows.slice(0, ROWS_KEPT).map(shortened),
    };
  } catch (error) {
    // Without its connection there is no plan any more either: that is the run's business.
    if (isUnreachable(error)) throw error;
    await client.query('rollback to savepoint guard');
    return {
      verdict: 'unreachable',
      rule: name,
      reason: `${name}: ${whyNot(error, timeoutMs)}`,
      figures: { timeoutMs },
    };
  }
}

/** Undone with the savepoint. */
async function takeReader(
  client: pg.PoolClient,
  run: string,
  planned: number,
  timeoutMs: number,
): Promise<void> {
  const { rows } = await client.query<{ role: string }>('select role from portcullis_guard.reader');
  await client.query(`
    set local work_mem = '64MB';
    set local jit = off;
    set local enable_nestloop = ${planned > FEW_CHANGES ? 'off' : 'on'};
    set local search_path = portcullis_guard, directory, pg_temp;
    set local portcullis.run = ${pg.escapeLiteral(run)};
    set local statement_timeout = ${Math.round(timeoutMs)};
    set local role ${pg.escapeIdentifier(rows[0]?.role ?? '')};
    set local transaction_read_only = on`);
}

type Row = Readonly<Record<string, unknown>>;

/** A cursor speaks the extended protocol, which takes one statement only, and plans for all the rows. */
async function askFor(client: pg.PoolClient, sql: string): Promise<{ rows: Row[]; more: boolean }> {
  const cursor = client.query(new Cursor<Row>(sql, []));
  try {
    const rows = await cursor.read(ROWS_COUNTED + 1);
    return { rows: rows.slice(0, ROWS_COUNTED), more: rows.length > ROWS_COUNTED };
  } finally {
    await cursor.close().catch(() => undefined);
  }
}

const TIMED_OUT = '57014';

function whyNot(error: unknown, timeoutMs: number): string {
  return (error as { code?: unknown }).code === TIMED_OUT
    ? `its query did not answer within ${formatDurationMs(timeoutMs)}`
    : `its query failed: ${messageOf(error)}`;
}

/** As plain JSON, which a Date or a bigint is not, and none too long. */
function shortened(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => [column, value === null ? null : textOf(value)]),
  );
}

function textOf(value: unknown): string {
  const text =
    value instanceof Date ? value.toISOString() : typeof value === 'string' ? value : JSON.stringify(value);
  return shorten(text, VALUE_CHARACTERS);
}

function sample(row: Row | undefined): string {
  return Object.entries(shortened(row ?? {}))
    .map(([column, value]) => `${column} ${String(value)}`)
    .join(', ');
}
