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
