import { expect, test } from '@jest/globals';
import { killGate } from '../../src/containment/kill-gate.js';
import { checksum, database, region, restoreOnly, run } from '../support/restoring.js';
import { until } from '../support/until.js';

const { owner } = database;
/** So long that no connection is ended in this test. */
const GRACE_MS = 600_000;

/** Keeps an account from everybody else, until let go. */
async function holdingAnAccount(): Promise<() => Promise<void>> {
  const client = await owner.connect();
  await client.query('begin');
  await client.query(`select from directory.account where id = $1 for update`, [`${region}-acc-5-5`]);
  return async () => {
    await client.query('rollback');
    client.release();
  };
}

/** Waits until a batch stands still in the middle of its statement, behind somebody's row. */
const batchStandsStill = (): Promise<unknown> =>
  until('a batch waits for a row', async () => {
    const { rows } = await owner.query(
      `select from pg_stat_activity a join pg_locks l using (pid)
       where a.datname = current_database() and a.query like '%update%account%' and not l.granted
         and l.locktype in ('transactionid', 'tuple')`,
    );
    return rows.length > 0;
  });

const kill = () => killGate(owner, { job: 'claims', region, reason: 'enough', by: 'ann' }, GRACE_MS);

async function rowsChanged(): Promise<number> {
  const { rows } = await owner.query<{ n: number }>(
    `select count(*) as n from directory.account where home_region = $1 and state <> 'UNMANAGED'`,
    [region],
  );
  return rows[0]?.n ?? 0;
}

test('a kill cancels a batch that would keep it waiting: it is undone, and its run meets the closed gate', async () => {
  const letGo = await holdingAnAccount();
  const running = run();
  await batchStandsStill();
  const killed = await kill();
  expect(killed).toMatchObject({ terminated: 0 });
  expect(killed.inFlight).toBeGreaterThan(0);
  const then = await rowsChanged();
  await letGo();
  const report = await running;
  expect(report).toMatchObject({ status: 'killed', reason: expect.stringContaining('enough') });
  expect(await rowsChanged()).toBe(then);
  expect(report.applied['claim'] ?? 0).toBe(then);
});

test('a restore whose batch a kill cancels goes on behind it, to its end', async () => {
  const before = await checksum();
  const bad = await run();
  const letGo = await holdingAnAccount();
  const restoring = restoreOnly(bad.run.id);
  await batchStandsStill();
  expect(await kill()).toMatchObject({ terminated: 0 });
  await letGo();
  expect(await restoring).toMatchObject({
    report: { status: 'succeeded', applied: { claim: 200 }, conflicts: 0 },
  });
  expect(await checksum()).toBe(before);
});
