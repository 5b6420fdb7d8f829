import type pg from 'pg';
import Cursor from 'pg-cursor';
import { BoundedClient, abandon } from '../postgres/bounded-pool.js';
import { beginTransaction } from '../postgres/pool.js';

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
      const rows = await unlessLost(client, cursor.read(ROWS_AT_ONCE));
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

/** Ends a cursor and its transaction. Answers an error where the connection is lost. */
async function ended(client: pg.PoolClient, cursor: Cursor | undefined): Promise<Error | undefined> {
  try {
    if (cursor) await unlessLost(client, cursor.close());
    await client.query('commit');
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/**
 * A cursor's answer, or an error where the connection ends first. pg-cursor tells neither `close` of that, nor a `read`
 * whose rows have all come and whose last word, ReadyForQuery, has not.
 */
async function unlessLost<T>(client: pg.PoolClient, answer: Promise<T>): Promise<T> {
  const lost = new Error('Connection terminated');
  let onEnd = (): void => undefined;
  const gone = new Promise<never>((_, reject) => client.once('end', (onEnd = () => reject(lost))));
  // The one that comes second is nobody's.
  for (const each of [gone, answer]) each.catch(() => undefined);
  try {
    if (client instanceof BoundedClient && client.ended) throw lost;
    return await Promise.race([gone, answer]);
  } finally {
    client.off('end', onEnd);
  }
}
