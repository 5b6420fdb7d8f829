import type pg from 'pg';
import { beginTransaction } from './pool.js';
import { cleanSession } from './session.js';

/** The state of a database at one moment, for as long as the transaction lives that holds it. */
export interface Snapshot {
  /** By which other transactions take the same one. */
  readonly id: string;
  /** The database's clock, at that moment. */
  readonly at: Date;
}

/**
 * Runs `work` in one transaction that reads one snapshot, and hands that on: committed if it resolves, rolled back if
 * it throws. It may insert, and change what it has inserted; a row that others change meanwhile it must not change
 * (40001). `name` is how others find its connection. SQL that is not ours may have run on it: it is cleaned afterwards, or
 * closed. To close it always costs what applies the plan a sixth of its speed: a new connection finds the pages of the
 * plan, which this one has just written, one page fault after the other.
 */
export async function inSnapshot<T>(
  pool: pg.Pool,
  name: string,
  work: (client: pg.PoolClient, snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let clean = false;
  try {
    await beginTransaction(client, { isolation: 'repeatable read', readOnly: false, name });
    const { rows } = await client.query<Snapshot>(
      'select pg_export_snapshot() as id, clock_timestamp() as at',
    );
    const [snapshot] = rows;
    if (!snapshot) throw new Error('the database has exported no snapshot');
    const result = await work(client, snapshot);
    await client.query('commit');
    clean = await cleanSession(client);
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release(!clean);
  }
}
