import type pg from 'pg';
import Cursor from 'pg-cursor';
import { beginTransaction } from '../store/pool.js';

/** Enough rows to hide the round trip, few enough to stay small. */
const ROWS_AT_ONCE = 500;

/**
 * A query's rows as of one moment, streamed: memory stays flat however many there are. Who stops early ends the query. `say` puts
 * an error into the caller's words.
 */
export async function* streamRows<Row>(
  pool: pg.Pool,
  sql: string,
  params: readonly unknown[],
  say: (error: unknown) => unknown = (error) => error,
): AsyncGenerator<Row> {
  const client = await pool.connect();
  let failure: Error | undefined;
  let cursor: Cursor<Row> | undefined;
  try {
    await beginTransaction(client, { isolation: 'repeatable read', readOnly: true });
    cursor = client.query(new Cursor<Row>(sql, [...params]));
    for (;;) {
      const rows = await cursor.read(ROWS_AT_ONCE);
      // A loop: yield* would make a promise of each row first.
      for (const row of rows) yield row;
      if (rows.length < ROWS_AT_ONCE) return;
    }
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    throw say(error);
  } finally {
    // A reader that stops early leaves the cursor open; a connection that failed is not used again.
    if (failure === undefined) {
      await cursor?.close();
      await client.query('commit');
    }
    client.release(failure);
  }
}
