import pg from 'pg';
import { messageOf } from '../kernel/errors.js';
import { formatDurationMs } from '../kernel/duration.js';
import { shorten } from '../kernel/text.js';
import type { InvariantRule } from '../flags/guard-policy.js';
import { isUnreachable } from '../postgres/pool.js';
import { figure } from './in-words.js';
import type { Judged } from '../containment/verdict.js';

/** Rows of evidence that are kept, of how many are counted, and how long a value in one may be. */
const ROWS_KEPT = 20;
const ROWS_COUNTED = 10_000;
const VALUE_LENGTH = 300;
/** What of a value is sent: characters to the database may be many UTF-16 units, or few, to us. */
const VALUE_SENT = 2 * VALUE_LENGTH;

/** A plan of more changes is joined by hashing: nothing is known yet of the rows it has just written. */
const FEW_CHANGES = 2_000;

/**
 * Asks whether a policy's invariant holds of a plan, in the transaction that has written it, as the guard's role, which
 * can only read (region/038-invariants-search-path.sql), with the job's schemas on the search path. A query that fails or takes too long is `unreachable`. Nothing
 * that it does outlives it: the savepoint undoes what belongs to the transaction, and session locks are released.
 * Figures: observed (rows), atLeast where there are more than are counted, timeoutMs, version (whose plan it is).
 */
export async function judgeInvariant(
  client: pg.PoolClient,
  { id: run, version }: { readonly id: string; readonly version: string },
  planned: number,
  { name, sql, timeoutMs }: InvariantRule,
  schemas: readonly string[],
): Promise<Judged> {
  const startedAt = performance.now();
  try {
    await client.query(`
      savepoint guard;
      set local work_mem = '64MB';
      set local jit = off;
      set local enable_nestloop = ${planned > FEW_CHANGES ? 'off' : 'on'};
      set local portcullis.run = ${pg.escapeLiteral(run)};
      set local transaction_read_only = on;
      set local statement_timeout = ${Math.round(timeoutMs)}`);
    const { rows } = await client.query<Answer>('select * from portcullis_guard.ask($1, $2, $3, $4, $5)', [
      sql,
      ROWS_KEPT,
      ROWS_COUNTED,
      VALUE_SENT,
      schemas,
    ]);
    await client.query(FORGET);
    const { total, evidence } = rows[0] ?? { total: 0, evidence: [] };
    const count = Math.min(total, ROWS_COUNTED);
    const more = total > ROWS_COUNTED;
    const figures = { observed: count, atLeast: more, timeoutMs, version };
    if (count === 0) return { verdict: 'pass', rule: name, reason: `${name}: holds`, figures };
    const kept = evidence.map(shortened);
    const changes = `${more ? 'more than ' : ''}${figure(count)} ${count === 1 ? 'change' : 'changes'} planned by ${version} ${count === 1 ? 'breaks' : 'break'}`;
    return {
      verdict: 'fail',
      rule: name,
      reason: `${name}: ${changes} it, such as ${sample(kept[0])}`,
      figures,
      evidence: kept,
    };
  } catch (error) {
    // Without its connection there is no plan any more either: that is the run's business.
    if (isUnreachable(error)) throw error;
    const tookMs = performance.now() - startedAt;
    await client.query(FORGET);
    return {
      verdict: 'unreachable',
      rule: name,
      reason: `${name}: ${whyNot(error, tookMs, timeoutMs)}`,
      figures: { timeoutMs },
    };
  }
}

const FORGET = 'rollback to savepoint guard; release savepoint guard; select pg_advisory_unlock_all()';

type Row = Readonly<Record<string, string | null>>;

interface Answer {
  /** How many rows the query returned, as far as they are counted. */
  readonly total: number;
  /** The first of them. */
  readonly evidence: readonly Row[];
}

const CANCELLED = '57014';

function whyNot(error: unknown, tookMs: number, timeoutMs: number): string {
  return (error as { code?: unknown }).code === CANCELLED && tookMs >= timeoutMs
    ? `its query did not answer within ${formatDurationMs(timeoutMs)}`
    : `its query failed: ${messageOf(error)}`;
}

function shortened(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => [
      column,
      value === null ? null : shorten(value, VALUE_LENGTH),
    ]),
  );
}

function sample(row: Row | undefined): string {
  return Object.entries(row ?? {})
    .map(([column, value]) => `${column} ${String(value)}`)
    .join(', ');
}
