import type pg from 'pg';
import { boundAuditWait, recordAudit } from '../audit/record.js';
import { inTransaction } from '../postgres/pool.js';
import type { Principal } from './roles.js';

/**
 * Puts on record that somebody reads rows of people, before they have them: what cannot be put on record is not read.
 * `what`: `directory`, `run 3f2a9c1e`, `account:a-17`.
 */
export async function recordPersonalRead(
  control: pg.Pool,
  { name }: Pick<Principal, 'name'>,
  what: string,
  evidence: Readonly<Record<string, unknown>>,
): Promise<void> {
  await inTransaction(control, async (client) => {
    // Whoever looks has a connection that writes nothing but this.
    await client.query('set local transaction_read_only = off');
    await boundAuditWait(client);
    await recordAudit(client, { principal: name, action: 'read-personal-data', subject: what, evidence });
  });
}

const ONCE_MS = 3_600_000;
/** More are forgotten, the oldest first, and recorded again. */
const MOST_REMEMBERED = 10_000;
/** When this process has put which reading on record, by its own clock. */
const recorded = new WeakMap<pg.Pool, Map<string, number>>();

/**
 * The same for who reads page after page, once an hour: each entry takes the lock of the chain, for which kills wait
 * too, and the pages of one table would fill the log. `evidence` says of what they read pages.
 */
export async function recordPersonalReadOnce(
  control: pg.Pool,
  reader: Pick<Principal, 'name'>,
  what: string,
  evidence: Readonly<Record<string, unknown>>,
): Promise<void> {
  const times = recorded.get(control) ?? new Map<string, number>();
  recorded.set(control, times);
  const key = JSON.stringify([reader.name, what, evidence]);
  const last = times.get(key);
  if (last !== undefined && performance.now() - last < ONCE_MS) return;
  await recordPersonalRead(control, reader, what, { ...evidence, forMs: ONCE_MS });
  times.delete(key);
  times.set(key, performance.now());
  const [oldest] = times.keys();
  if (times.size > MOST_REMEMBERED && oldest !== undefined) times.delete(oldest);
}
