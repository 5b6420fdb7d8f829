import { afterAll, beforeEach, expect, test } from '@jest/globals';
import type pg from 'pg';
import { killGate } from '../../src/containment/kill-gate.js';
import { KillPool } from '../../src/containment/kill-pool.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';

/** Whom a kill cancels and ends, as the connection sees it over which it does. */

const database = await testDatabase();
const kills = new KillPool(database.url, 'test');
afterAll(() => kills.end());

const LOCK = `select pg_advisory_xact_lock_shared(7020210, hashtext('claims.here'))`;
/** So long that no connection is ended. */
const PATIENT_MS = 600_000;

/** Called when the database has answered a statement about holders, before the kill hears of it. */
let answered: (sql: string) => unknown;
beforeEach(() => {
  answered = () => undefined;
});
kills.holders.on('connect', (client) => {
  const send = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  const query = async (...args: unknown[]): Promise<unknown> => {
    const answer = await send(...args);
    await answered(String(args[0]));
    return answer;
  };
  client.query = query as typeof client.query;
});

const kill = (graceMs: number) =>
  killGate(kills, { job: 'claims', region: 'here', reason: 'enough', by: 'ann' }, graceMs);

/** A worker's connection in the middle of a batch. */
async function batch(): Promise<{ readonly client: pg.PoolClient; readonly pid: number }> {
  const client = await database.pool(database.workerUrl).connect();
  client.on('error', () => undefined);
  await client.query('begin');
  await client.query(LOCK);
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return { client, pid: rows[0]?.pid ?? 0 };
}

test('a kill cancels nothing that a connection is at behind its batch', async () => {
  const { client } = await batch();
  let next: Promise<unknown> | undefined;
  answered = async (sql) => {
    if (next !== undefined || !sql.includes('pg_locks')) return;
    // The batch ends by itself at this moment, and its connection goes on with something else.
    await client.query('commit');
    next = client.query('select pg_sleep(0.3)');
    next.catch(() => undefined);
    await until('the next statement runs', async () => {
      const { rowCount } = await database.owner.query(
        `select from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'`,
      );
      return rowCount === 1;
    });
  };
  expect(await kill(PATIENT_MS)).toMatchObject({ inFlight: 1, terminated: 0 });
  expect(next).toBeDefined();
  await next;
  client.release();
});

test('a connection that takes its time to end is counted once', async () => {
  const { client, pid } = await batch();
  // As on a machine that is busy with a lot else: the server process does not come to hear of it.
  process.kill(pid, 'SIGSTOP');
  let told = 0;
  answered = (sql) => {
    if (sql.includes('pg_terminate_backend')) told += 1;
    if (told === 3) process.kill(pid, 'SIGCONT');
  };
  expect(await kill(50)).toMatchObject({ inFlight: 1, terminated: 1 });
  expect(told).toBeGreaterThanOrEqual(3);
  client.release(true);
});
