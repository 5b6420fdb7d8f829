import { describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import { lockGate } from '../../src/gate/lock.js';
import { readGate, reconcileGate } from '../../src/gate/permit.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { takeOver } from '../../src/runs/lease.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { claiming } from '../support/claiming.js';
import { testDatabase } from '../support/database.js';
import { testPolicy } from '../support/platform.js';

const database = await testDatabase();
const here = await claiming(database);
const { platform, job, all } = here;
const PERMIT_MS = 30_000;

async function silenceOf(connection: pg.Pool | pg.PoolClient): Promise<string | undefined> {
  const { rows } = await connection.query<{ limit: string }>(
    `select current_setting('idle_in_transaction_session_timeout') as limit`,
  );
  return rows[0]?.limit;
}

describe('a gate', () => {
  test('that no flag has spoken to is held', async () => {
    expect(await readGate(platform.region, 'claims', 'nowhere')).toMatchObject({
      state: 'held',
      permitUntil: null,
      permitMs: 0,
      reasonCode: 'never-permitted',
    });
  });

  test('opens with a flag, and bumps a version’s epoch when its share shrinks, but not while it grows', async () => {
    platform.flags.open('claims', here.region, { ...all, permille: 500 });
    const first = await here.reconcile();
    expect(first.gate).toMatchObject({ state: 'open' });
    expect(first.gate.permitMs).toBeGreaterThan(PERMIT_MS - 5_000);
    platform.flags.open('claims', here.region, { ...all, permille: 600 });
    expect((await here.reconcile()).gate).toMatchObject({ epoch: first.gate.epoch, versionEpochs: {} });
    platform.flags.open('claims', here.region, { ...all, permille: 400 });
    const versionEpochs = { [all.version]: 1 };
    expect((await here.reconcile()).gate).toMatchObject({ epoch: first.gate.epoch, versionEpochs });
    platform.flags.close('claims', here.region);
    expect((await here.reconcile()).gate).toMatchObject({ epoch: first.gate.epoch + 1, versionEpochs });
  });

  test('is not opened again by a process whose flags lag behind', async () => {
    const late = platform.flags.look(`claims.${here.region}`);
    platform.flags.close('claims', here.region);
    await here.reconcile();
    const { gate, move } = await reconcileGate(platform.region, 'claims', here.region, () => late, PERMIT_MS);
    expect(move).toMatchObject({ to: 'leave', code: 'flag-outdated' });
    expect(gate.state).toBe('held');
  });

  test('gets no permit from a process that stood still between looking at the flag and telling it', async () => {
    platform.flags.open('claims', here.region, all);
    await here.reconcile();
    const late = () =>
      reconcileGate(
        platform.region,
        'claims',
        here.region,
        () => {
          const answer = platform.flags.look(`claims.${here.region}`);
          // The process does nothing else meanwhile.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
          return answer;
        },
        50,
      );
    // Nor does it shorten the permit that another has given.
    expect((await late()).gate.permitMs).toBeGreaterThan(PERMIT_MS - 5_000);
    await database.owner.query(
      `update portcullis_region.gate set permit_until = clock_timestamp() where job = 'claims' and region = $1`,
      [here.region],
    );
    expect((await late()).gate.permitMs).toBe(0);
    expect((await here.reconcile()).gate.permitMs).toBeGreaterThan(PERMIT_MS - 5_000);
  });

  test('has its lock given up by the server where a process says nothing in the middle of a batch or a move', async () => {
    for (const mode of ['shared', 'exclusive'] as const) {
      const limit = await inTransaction(platform.region, async (client) => {
        await lockGate(client, 'claims', here.region, mode);
        return silenceOf(client);
      });
      expect(limit).toBe('30s');
    }
    // It is the transaction's, and not the connection's: what else is done on that may take its time.
    expect(await silenceOf(platform.region)).toBe('0');
  });

  test('ends up the same whatever many processes tell it at once', async () => {
    const answers = [];
    for (const permille of [1000, 200, 800, 100]) {
      platform.flags.open('claims', here.region, { ...all, permille });
      answers.push(platform.flags.look(`claims.${here.region}`));
    }
    const told = [...answers, ...answers, ...answers];
    await Promise.all(
      told.map((answer) => reconcileGate(platform.region, 'claims', here.region, () => answer, PERMIT_MS)),
    );
    expect(await readGate(platform.region, 'claims', here.region)).toMatchObject({
      state: 'open',
      variants: [{ version: job.version, permille: 100 }],
    });
  });
});

describe('the fence', () => {
  test.each([1, 2, 7, 20])(
    'lets nothing through after a flag was turned off before batch %i',
    async (batch) => {
      const report = await here.runUntil('apply.before-fence', batch, async () => {
        platform.flags.close('claims', here.region);
        await here.reconcile();
      });
      const through = (batch - 1) * 10;
      expect(report).toMatchObject({
        status: 'stopped',
        code: 'gate-held',
        reason: 'flag-off by the test',
        planned: { claim: 200 },
        applied: { claim: through },
      });
      expect(await here.managed()).toBe(through);
    },
  );

  test('makes a closing flag wait for the batch in flight, and then holds', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    let settled = false;
    const report = await here.runUntil('apply.written', 3, async () => {
      platform.flags.close('claims', here.region);
      closed = here.reconcile().then(() => (settled = true));
      // The closer must be queued for the lock before the batch commits, or this shows nothing.
      for (;;) {
        const { rows } = await database.owner.query(
          `select from pg_locks where locktype = 'advisory' and not granted`,
        );
        if (rows.length > 0) break;
      }
      expect(settled).toBe(false);
    });
    await closed;
    expect(report).toMatchObject({ status: 'stopped', applied: { claim: 30 } });
    expect(await here.managed()).toBe(30);
  });

  test('stops a run whose share was taken back, though the gate is open', async () => {
    const report = await here.runUntil('apply.committed', 4, async () => {
      platform.flags.open('claims', here.region, { ...all, permille: 999 });
      await here.reconcile();
    });
    expect(report).toMatchObject({ status: 'stopped', code: 'gate-narrowed', applied: { claim: 40 } });
  });

  test('lets a run go on when its share grows', async () => {
    platform.flags.open('claims', here.region, { ...all, permille: 999 });
    const report = await here.runUntil('apply.committed', 2, async () => {
      platform.flags.open('claims', here.region, all);
      await here.reconcile();
    });
    expect(report).toMatchObject({ status: 'succeeded' });
  });

  test('holds when the permit lapses, though nobody closed anything', async () => {
    const report = await here.runUntil('apply.committed', 5, async () => {
      await database.owner.query(
        `update portcullis_region.gate set permit_until = clock_timestamp() where region = $1`,
        [here.region],
      );
    });
    expect(report).toMatchObject({ status: 'stopped', code: 'permit-lapsed', applied: { claim: 50 } });
    expect(report?.reason).toMatch(/^permit expired at \d{4}-/);
  });

  const cutConnections = (): Promise<unknown> =>
    database.owner.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name like 'portcullis run %'`,
    );

  test.each(['apply.before-fence', 'apply.fenced', 'apply.written', 'apply.committed'] as const)(
    'does not end a run whose connection is cut at %s: it goes on from where it was',
    async (point) => {
      const report = await here.runUntil(point, 4, cutConnections);
      expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 200 }, conflicts: 0 });
      expect(report?.run.attempt).toBe(1);
      expect(await here.managed()).toBe(200);
    },
  );

  test('does not end a run whose connections are cut again and again: whoever comes next finishes it', async () => {
    let batches = 0;
    const report = await here.runUntil('run.elected', 1, () => {
      onFaultPoint(async (point) => {
        if (point === 'apply.fenced' && ++batches > 3) await cutConnections();
      });
      return Promise.resolve();
    });
    onFaultPoint(undefined);
    expect(report).toBeUndefined();
    expect(await here.managed()).toBe(30);
    const scope = { jobs: ['claims'], regions: [here.region], versions: [], worker: 'heir', leaseMs: 20_000 };
    const heir = await takeOver(platform.region, scope);
    if (!heir) throw new Error('the run was not given up');
    const policy = testPolicy('claims', [here.region]);
    const { signal } = new AbortController();
    expect(await executeRun(platform, job, policy, heir.run, heir.status, { signal })).toMatchObject({
      status: 'succeeded',
      applied: { claim: 200 },
      conflicts: 0,
    });
  });

  test('keeps the former owner of a run from writing, and the new one finishes it', async () => {
    const scope = { jobs: ['claims'], regions: [here.region], versions: [], worker: 'heir', leaseMs: 20_000 };
    const taken: (Awaited<ReturnType<typeof takeOver>> | 'none')[] = [];
    const report = await here.runUntil('apply.committed', 6, async () => {
      await database.owner.query(
        `update portcullis_region.run set lease_until = '-infinity' where region = $1`,
        [here.region],
      );
      taken.push((await takeOver(platform.region, scope)) ?? 'none');
    });
    expect(report).toBeUndefined();
    expect(await here.managed()).toBe(60);
    const [heir] = taken;
    if (heir === undefined || heir === 'none') throw new Error('nothing was taken over');
    const policy = testPolicy('claims', [here.region]);
    const finished = await executeRun(platform, job, policy, heir.run, heir.status, {
      signal: new AbortController().signal,
    });
    expect(finished).toMatchObject({
      status: 'succeeded',
      planned: { claim: 200 },
      applied: { claim: 200 },
      conflicts: 0,
    });
    const { rows } = await database.owner.query(
      `select sum(to_seq - from_seq) as written, count(distinct attempt) as attempts from portcullis_region.batch where run = $1`,
      [heir.run.id],
    );
    expect(rows).toEqual([{ written: 200, attempts: 2 }]);
  });
});
