import type pg from 'pg';
import Cursor from 'pg-cursor';
import { beginTransaction } from '../store/pool.js';

/** Enough rows to hide the round trip, few enough to stay small. */
const ROWS_AT_ONCE = 500;

export interface StreamOptions {
  /** Puts an error into the caller's words. */
  readonly say?: (error: unknown) => unknown;
  /** Begins the transaction that the query runs in; absent: one that sees the database as it is now. */
  readonly begin?: (client: pg.PoolClient) => Promise<void>;
}

/** A query's rows as of one moment, streamed: memory stays flat however many there are. Who stops early ends the query. */
export async function* streamRows<Row>(
  pool: pg.Pool,
  sql: string,
  params: readonly unknown[],
  { say = (error) => error, begin = beginNow }: StreamOptions = {},
): AsyncGenerator<Row> {
  const client = await pool.connect();
  let failure: Error | undefined;
  let cursor: Cursor<Row> | undefined;
  try {
    await begin(client);
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

function beginNow(client: pg.PoolClient): Promise<void> {
  return beginTransaction(client, { isolation: 'repeatable read', readOnly: true });
}
