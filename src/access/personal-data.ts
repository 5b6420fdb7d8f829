import { createHash } from 'node:crypto';
import type pg from 'pg';
import { boundAuditWait, recordAudit } from '../audit/record.js';
import { inTransaction } from '../postgres/pool.js';
import type { Principal } from './roles.js';

type Reader = Pick<Principal, 'name'>;

/**
 * Puts on record that somebody reads rows of people, before they have them: what cannot be put on record is not read.
 * `what`: `directory`, `run 3f2a9c1e`, `account:a-17`.
 */
export async function recordPersonalRead(
  control: pg.Pool,
  reader: Reader,
  what: string,
  evidence: Readonly<Record<string, unknown>>,
): Promise<void> {
  await recording(control, (client) => record(client, reader, what, evidence));
}

const ONCE_MS = 3_600_000;

/**
 * The same for who reads page after page, once an hour over all processes, by the control database's clock: each entry
 * takes the lock of the chain, for which kills wait too, and the pages of one table would fill the log. `evidence` says of
 * what they read pages.
 */
export async function recordPersonalReadOnce(
  control: pg.Pool,
  reader: Reader,
  what: string,
  evidence: Readonly<Record<string, unknown>>,
): Promise<void> {
  const key = createHash('sha256')
    .update(JSON.stringify([reader.name, what, evidence]))
    .digest();
  const known = await control.query(
    `select from portcullis_control.personal_read where sha256 = $1 and at > ${HOUR_AGO}`,
    [key],
  );
  if (known.rowCount === 1) return;
  await recording(control, async (client) => {
    // Another one that has put it on record meanwhile is waited for, and there is nothing left to do.
    const { rowCount } = await client.query(
      `insert into portcullis_control.personal_read as read (sha256) values ($1)
       on conflict (sha256) do update set at = clock_timestamp() where read.at <= ${HOUR_AGO}`,
      [key],
    );
    if (rowCount === 0) return;
    await client.query(
      `delete from portcullis_control.personal_read where sha256 in (
         select sha256 from portcullis_control.personal_read where at <= ${HOUR_AGO} and sha256 <> $1
         order by at limit 100 for update skip locked)`,
      [key],
    );
    await record(client, reader, what, { ...evidence, forMs: ONCE_MS });
  });
}

const HOUR_AGO = `clock_timestamp() - interval '1 hour'`;

async function recording(control: pg.Pool, work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
  await inTransaction(control, async (client) => {
    // Whoever looks has a connection that writes nothing but this.
    await client.query('set local transaction_read_only = off');
    await boundAuditWait(client);
    await work(client);
  });
}

async function record(
  client: pg.PoolClient,
  { name }: Reader,
  what: string,
  evidence: Readonly<Record<string, unknown>>,
): Promise<void> {
  await recordAudit(client, { principal: name, action: 'read-personal-data', subject: what, evidence });
}
