import pg from 'pg';
import { messageOf } from '../kernel/errors.js';
import { shorten } from '../kernel/text.js';
import { isUnreachable } from '../postgres/pool.js';
import type { Judged } from './verdict.js';

type Said = Pick<Judged, 'reason' | 'figures' | 'evidence'>;
const REASON_LENGTH = 1_000;

/**
 * Has `write` write what rules said and, where the database refuses that, once more without figures and evidence: a
 * trip is not lost over what it was decided on. Given a client, it is in a transaction, which goes on.
 */
export async function writeSaid<Each extends Said, Result>(
  client: pg.Pool | pg.PoolClient,
  said: readonly Each[],
  write: (said: readonly Each[]) => Promise<Result>,
): Promise<Result> {
  const inTransaction = !(client instanceof pg.Pool);
  if (inTransaction) await client.query('savepoint said');
  try {
    const result = await write(said);
    if (inTransaction) await client.query('release savepoint said');
    return result;
  } catch (error) {
    if (isUnreachable(error)) throw error;
    if (inTransaction) await client.query('rollback to savepoint said');
    const why = `its evidence could not be recorded: ${messageOf(error)}`;
    return write(
      said.map((each) => ({
        ...each,
        reason: shorten(`${each.reason} (${why})`, REASON_LENGTH),
        figures: {},
        evidence: [],
      })),
    );
  }
}
