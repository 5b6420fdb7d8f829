import type pg from 'pg';
import { NAMED_LOCKS } from '../postgres/locks.js';

/**
 * How long a process may say nothing while it has the lock. Then the server ends its connection by itself: one that
 * stands still would keep everybody waiting who moves the gate, and all batches behind them. Far longer than a
 * batch's statements lie apart.
 */
const SILENCE_MS = 30_000;

/**
 * Takes a gate's lock until the transaction ends. Writers of batches share it; whoever closes or narrows the
 * gate has it alone, so that when it has it no batch is in flight, and when it lets go every batch sees the
 * new state. PostgreSQL queues fairly: sharers that come after a waiting closer wait behind it.
 */
export async function lockGate(
  client: pg.PoolClient,
  job: string,
  region: string,
  mode: 'shared' | 'exclusive',
): Promise<void> {
  const lock = mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock';
  await client.query({
    name: `portcullis gate ${mode}`,
    text: `select set_config('idle_in_transaction_session_timeout', $3, true), ${lock}($1, hashtext($2))`,
    values: [NAMED_LOCKS.gate, gateLockName(job, region), String(SILENCE_MS)],
  });
}

/** What is hashed into the lock's second number. */
export function gateLockName(job: string, region: string): string {
  return `${job}.${region}`;
}
