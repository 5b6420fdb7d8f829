import type pg from 'pg';
import Cursor from 'pg-cursor';

/** Enough rows to hide the round trip, few enough to stay small. */
const ROWS_AT_ONCE = 500;

/** A query's rows, streamed: memory stays flat however many there are. Who stops early ends the query. */
export async function* streamRows<Row>(
  pool: pg.Pool,
  sql: string,
  params: readonly unknown[],
): AsyncGenerator<Row> {
  const client = await pool.connect();
  const cursor = client.query(new Cursor<Row>(sql, [...params]));
  let failure: Error | undefined;
  try {
    for (;;) {
      const rows = await cursor.read(ROWS_AT_ONCE);
      for (const row of rows) yield row;
      if (rows.length < ROWS_AT_ONCE) return;
    }
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    throw error;
  } finally {
    // A connection that failed is not used again.
    if (failure === undefined) await cursor.close();
    client.release(failure);
  }
}
