import type pg from 'pg';
import Cursor from 'pg-cursor';
import { BoundedClient, abandon } from '../store/bounded-pool.js';
import { beginTransaction } from '../store/pool.js';

/** Enough rows to hide the round trip, few enough to stay small. */
const ROWS_AT_ONCE = 500;

export interface StreamOptions {
  /** Puts an error into the caller's words. */
  readonly say?: (error: unknown) => unknown;
  /** Begins the transaction that the query runs in; absent: one that sees the database as it is now. */
  readonly begin?: (client: pg.PoolClient) => Promise<void>;
  /** Ends the query, on the server too, and the stream with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told with each answer, and whenever the server was seen to work on the next one. */
  readonly onProgress?: (() => void) | undefined;
}

/**
 * A query's rows as of one moment, streamed: memory stays flat however many there are. Who stops early ends the
 * query. Fails with the connection; never waits for one that is lost.
 */
export async function* streamRows<Row>(
  pool: pg.Pool,
  sql: string,
  params: readonly unknown[],
  { say = (error) => error, begin = beginNow, signal, onProgress }: StreamOptions = {},
): AsyncGenerator<Row> {
  signal?.throwIfAborted();
  const client = await pool.connect();
  if (client instanceof BoundedClient) client.onWorking = onProgress;
  const onAbort = (): void =>
    abandon(client, new Error('Connection terminated: the query is not wanted any more'));
  signal?.addEventListener('abort', onAbort, { once: true });
  let failure: Error | undefined;
  let cursor: Cursor<Row> | undefined;
  try {
    signal?.throwIfAborted();
    await begin(client);
    cursor = client.query(new Cursor<Row>(sql, [...params]));
    for (;;) {
      const rows = await cursor.read(ROWS_AT_ONCE);
      onProgress?.();
      // A loop: yield* would make a promise of each row first.
      for (const row of rows) yield row;
      if (rows.length < ROWS_AT_ONCE) return;
    }
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    signal?.throwIfAborted();
    throw say(error);
  } finally {
    // A reader that stops early leaves the cursor open; a connection that failed is not used again.
    failure ??= await ended(client, cursor);
    signal?.removeEventListener('abort', onAbort);
    if (client instanceof BoundedClient) client.onWorking = undefined;
    client.release(failure);
  }
}

function beginNow(client: pg.PoolClient): Promise<void> {
  return beginTransaction(client, { isolation: 'repeatable read', readOnly: true });
}

/** Ends a cursor and its transaction. Answers an error where the connection is lost: then nothing is answered. */
async function ended(client: pg.PoolClient, cursor: Cursor | undefined): Promise<Error | undefined> {
  const lost = new Error('Connection terminated');
  if (client instanceof BoundedClient && client.ended) return lost;
  let onEnd = (): void => undefined;
  const gone = new Promise<Error>((resolve) => client.once('end', (onEnd = () => resolve(lost))));
  try {
    const done = (async () => {
      await cursor?.close();
      await client.query('commit');
      return undefined;
    })();
    return await Promise.race([gone, done]);
  } catch (error) {
    return error instanceof Error ? error : lost;
  } finally {
    client.off('end', onEnd);
  }
}
