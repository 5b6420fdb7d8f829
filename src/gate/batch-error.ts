import pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { missingGrants, type WantedGrant } from '../postgres/missing-grants.js';
import { shorten } from '../kernel/text.js';
import { ChangeAltered, type Step } from '../journal/write-batch.js';

/**
 * SQLSTATEs that ask for the same transaction once more: serialization failure, deadlock, and cancelled, as a kill does
 * with batches in flight: the next try queues behind it, and meets a gate that is closed, or lets the cure through.
 */
const AGAIN = new Set(['40001', '40P01', '57014']);

/** How often a batch is tried in all. A kill cancels it once or twice; what goes on doing so is something else. */
export const TRIES = 5;

export function asksAgain(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && AGAIN.has(error.code ?? '');
}

/** What a transaction comes to that may be tried again as a whole, after {@link TRIES} at the latest. */
export async function tryAgain<T>(transaction: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await transaction();
    } catch (error) {
      if (!asksAgain(error) || tries === TRIES) throw error;
    }
  }
}

/**
 * SQLSTATE classes that say nothing of a change: connection (08), transaction state (25), prepared statement (26),
 * rollback (40), names and privileges (42), resources (53), operator (57), system (58) and internal (XX).
 */
const OF_THE_RUN = /^(08|25|26|40|42|53|57|58|XX)/;

/** What the database said to the changes of a batch: halved down to one change, it is that change's refusal. */
export class ChangesRefused extends Error {
  override readonly name = 'ChangesRefused';
}

/** A refusal is kept with its change and shown: a trigger may raise any length of text. */
const REFUSAL_LENGTH = 1_000;

/** To be given the error of a statement that wrote changes, or of the commit. Throws it, as what it is. */
export function blame(error: unknown): never {
  if (error instanceof ChangeAltered) throw new ChangesRefused(error.message, { cause: error });
  if (!(error instanceof pg.DatabaseError) || OF_THE_RUN.test(error.code ?? 'XX')) throw error;
  throw new ChangesRefused(shorten(error.message, REFUSAL_LENGTH), { cause: error });
}

/**
 * An error as a run ends with it. One of names or privileges names what is missing of the tables that the steps
 * write, with the GRANT to run; a batch that was interrupted each time says so, and what becomes of the run. To be
 * called when the batch is rolled back.
 */
export async function explained(
  client: pg.PoolClient,
  error: unknown,
  steps: readonly Step[],
): Promise<unknown> {
  if (asksAgain(error)) return interrupted(error);
  if (!(error instanceof pg.DatabaseError) || error.code?.startsWith('42') !== true) return error;
  const missing = await missingGrants(client, wantedOf(steps)).catch(() => []);
  const fix =
    missing.length > 0
      ? `run: ${missing.join('; ')}`
      : error.code === '42501'
        ? 'a trigger or a row-level security policy of the table does not permit it; grant it what it needs'
        : 'the table, or a trigger of it, has changed since the run was planned; correct it, or the job’s declaration';
  const message = `a batch cannot be written: ${error.message} (SQLSTATE ${error.code}); ${fix}`;
  return new PortcullisError('TABLE_UNWRITABLE', message, { cause: error });
}

/** Classes 40 and 57 are the run's own: they blame no change, also where a change's own trigger raises one of them. */
function interrupted(error: pg.DatabaseError): PortcullisError {
  const what =
    error.code === '57014'
      ? `cancelled ${TRIES} times in a row, and not by a kill of this run`
      : `rolled back by the database ${TRIES} times in a row`;
  const cause =
    error.code === '57014'
      ? 'a time limit in a trigger or function, or who cancels it'
      : 'who else writes these rows';
  return new PortcullisError(
    'BATCH_INTERRUPTED',
    `a batch was ${what}: ${error.message} (SQLSTATE ${error.code ?? ''}); the batches before it stay applied. ` +
      `Find the cause (${cause}), then restore this run, or let the next run do the rest`,
    { cause: error },
  );
}

/** What the client's login needs for the steps. */
function wantedOf(steps: readonly Step[]): WantedGrant[] {
  return steps.flatMap(({ shape, operation, requires }) => [
    { table: shape.table, privilege: operation, columns: shape.changes.map(({ name }) => name) },
    ...[shape, ...requires].map(({ table, key, compared }) => ({
      table,
      privilege: 'select' as const,
      columns: [...key, ...compared].map(({ name }) => name),
    })),
  ]);
}
