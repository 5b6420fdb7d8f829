import { afterAll, describe, expect, test } from '@jest/globals';
import type { Patient } from '../../src/doctor/patient.js';
import { pooler } from '../../src/doctor/pooler.js';
import { EmbeddedSource } from '../../src/flags/embedded-source.js';
import { killGate } from '../../src/containment/kill-gate.js';
import { restoreRuns } from '../../src/worker/restore-runs.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { openReplayDatabases } from '../../src/demo/incident/databases.js';
import { takeOver } from '../../src/runs/lease.js';
import { checkReachable, isPooled, openPool } from '../../src/postgres/pool.js';
import { claiming, type Claiming } from '../support/claiming.js';
import { testDatabase, type TestDatabase } from '../support/database.js';
import { oneDatabase } from '../support/one-database.js';
import { startPgBouncer } from '../support/pgbouncer.js';
import { testPolicy } from '../support/platform.js';
import { until } from '../support/until.js';

interface Behind {
  readonly direct: TestDatabase;
  /** The same database, each of whose logins is led through PgBouncer. */
  readonly pooled: TestDatabase;
  readonly here: Claiming;
}

/** A database with a setting that differs from ours, behind a PgBouncer of its own in transaction mode. */
async function behind(settings: Readonly<Record<string, string>>): Promise<Behind> {
  const direct = await testDatabase();
  const database = new URL(direct.url).pathname.slice(1);
  await direct.owner.query(`alter database ${database} set DateStyle = 'German'`);
  await direct.owner.query(`alter database ${database} set default_transaction_isolation = 'serializable'`);
  const through = await startPgBouncer(direct.url, { pool_mode: 'transaction', ...settings });
  const pooled = {
    ...direct,
    ...{ url: through(direct.url), owner: direct.pool(through(direct.url), 'pooled owner') },
    ...{ workerUrl: through(direct.workerUrl), plannerUrl: through(direct.plannerUrl) },
  };
  return { direct, pooled, here: await claiming(pooled) };
}

const asInstalled = await behind({});
const ignoring = await behind({ ignore_startup_parameters: 'options' });
const statementMode = await startPgBouncer(asInstalled.direct.url, { pool_mode: 'statement' });

const configurations = [
  ['as it is installed', asInstalled],
  ['that ignores startup options', ignoring],
] as const;

describe.each(configurations)('behind a PgBouncer in transaction mode, %s', (_, { direct, pooled, here }) => {
  const signal = new AbortController().signal;
  const paceOf = () => ({ leaseMs: 20_000, batch: 30 });

  test('the pooler is noticed', async () => {
    expect(await isPooled(pooled.owner)).toBe(true);
    expect(await isPooled(direct.owner)).toBe(false);
  });

  test('a lone statement has the settings, whatever the database has', async () => {
    const { rows } = await pooled.owner.query(
      `select timestamptz '2021-02-10 12:00+00' as at, current_setting('transaction_isolation') as isolation`,
    );
    expect(rows).toEqual([{ at: new Date('2021-02-10T12:00:00Z'), isolation: 'read committed' }]);
  });

  test('a run applies every change, and a restore brings them back', async () => {
    const report = await here.run();
    expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 200 }, conflicts: 0 });
    expect(await here.managed()).toBe(200);
    const [restored] = await restoreRuns(here.platform, [report?.run.id ?? ''], { signal, paceOf });
    expect(restored?.report).toMatchObject({ status: 'succeeded', applied: { claim: 200 } });
    expect(await here.managed()).toBe(0);
  });

  test('a kill waits for the batch in flight, and no other one commits', async () => {
    let killed: ReturnType<typeof killGate> | undefined;
    const order = () => ({ job: 'claims', region: here.region, reason: 'enough', by: 'ann' });
    const report = await here.runUntil('apply.written', 3, async () => {
      killed = killGate(pooled.owner, order(), 60_000);
      await until('the kill waits for the lock of the gate', async () => {
        const { rowCount } = await direct.owner.query(
          `select from pg_locks where locktype = 'advisory' and not granted
           and database = (select oid from pg_database where datname = current_database())`,
        );
        return rowCount !== 0;
      });
    });
    expect(await killed).toMatchObject({ inFlight: 1, terminated: 0 });
    expect(report).toMatchObject({ code: 'gate-killed' });
    expect(await here.managed()).toBe(30);
  });

  test('a kill ends a batch that stands still, after the grace', async () => {
    const order = () => ({ job: 'claims', region: here.region, reason: 'enough', by: 'ann' });
    const ran = here.runUntil('apply.written', 3, async () => {
      expect(await killGate(pooled.owner, order(), 100)).toMatchObject({ inFlight: 1, terminated: 1 });
    });
    await ran.catch((error: unknown) => error);
    expect(await here.managed()).toBe(20);
  });

  test('a run is taken over whose worker stands still in the middle of a batch, and goes on where it was', async () => {
    const ran = here.runUntil('apply.written', 3, async () => {
      await direct.owner.query(
        `update portcullis_region.run set lease_until = '-infinity' where region = $1`,
        [here.region],
      );
      const taken = await takeOver(pooled.pool(pooled.workerUrl), {
        ...{ jobs: ['claims'], regions: [here.region], versions: [here.job.version] },
        ...{ worker: 'other', leaseMs: 60_000 },
      });
      if (!taken) throw new Error('there was nothing to take over');
      expect(await here.managed()).toBe(20);
      const policy = testPolicy('claims', [here.region], {
        apply: { lanes: 1, batch: 10, firstBatches: [] },
      });
      const { status, run } = taken;
      const report = await executeRun(here.platform, here.job, policy, run, status, { signal });
      expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 200 } });
    });
    await ran.catch((error: unknown) => error);
    expect(await here.managed()).toBe(200);
  });

  test('a change of a flag is there at the next poll, and at once over a direct connection', async () => {
    await direct.owner.query('delete from portcullis_control.flag');
    await direct.owner.query(
      `insert into portcullis_control.flag (job, region, reason, changed_by) values ('claims', 'here', 'r', 'ann')`,
    );
    const write = (permille: number) =>
      pooled.owner.query(
        `update portcullis_control.flag set enabled = true, variants = $1, changed_by = 'bob'`,
        [JSON.stringify([{ version: '1.0.0_abc', permille }])],
      );
    for (const [url, pollMs] of [
      [pooled.workerUrl, 1_000],
      [direct.workerUrl, 3_600_000],
    ] as const) {
      const source = new EmbeddedSource(direct.pool(url), { pollMs });
      await source.start();
      for (const permille of [pollMs % 7, pollMs % 11].map((n) => n + 1)) {
        await write(permille);
        await until(
          'the change is there',
          () => {
            const found = source.repository.find('claims.here');
            return found !== undefined && 'variants' in found && found.variants[0]?.permille === permille;
          },
          15_000,
        );
      }
      await source.stop();
    }
  });

  test('the doctor names the pooler, and what follows', async () => {
    const examine = (directDatabaseUrl: string | undefined) => {
      const regionDatabase = { name: 'control', owner: pooled.owner, open: true };
      const regionDatabases = oneDatabase(regionDatabase as never);
      const patient = {
        ...{ regionDatabases, control: pooled.owner, address: '' },
        ...{ flagSource: { kind: 'embedded' }, directDatabaseUrl },
      };
      return pooler.examine(patient as unknown as Patient);
    };
    expect(await examine(undefined)).toMatchObject([
      { mark: 'warn', found: expect.stringContaining('control is reached through a connection pooler') },
      { mark: 'warn', found: expect.stringContaining('flags are read once a second') },
    ]);
    expect(await examine(direct.url)).toMatchObject([{ mark: 'warn' }, { mark: 'ok' }]);
    expect(await examine(pooled.url)).toMatchObject([
      { mark: 'warn' },
      { mark: 'fail', hint: expect.stringContaining('PORTCULLIS_DIRECT_DATABASE_URL') },
    ]);
  });

  test('a replay, which holds a lock for as long as it runs, is refused', async () => {
    await expect(openReplayDatabases(pooled.url)).rejects.toMatchObject({ code: 'POOLER_UNSUITABLE' });
  });
});

describe('what cannot work', () => {
  const opened: { end(): Promise<void> }[] = [];
  afterAll(() => Promise.all(opened.map((pool) => pool.end())));
  const reach = (url: string): Promise<void> => {
    const pool = openPool(url, { name: 'test' });
    opened.push(pool);
    return checkReachable(pool, url);
  };

  test('statement mode is refused, with what to change', async () => {
    await expect(reach(statementMode(asInstalled.direct.url))).rejects.toMatchObject({
      code: 'POOLER_UNSUITABLE',
      hint: expect.stringContaining('pool_mode to transaction'),
    });
  });

  test('startup options in the URL are refused by PgBouncer, and the hint says which way out there is', async () => {
    await expect(reach(`${asInstalled.pooled.url}?options=-cwork_mem%3D8MB`)).rejects.toMatchObject({
      code: 'POOLER_UNSUITABLE',
      hint: expect.stringContaining('take options out of the URL'),
    });
    await reach(`${ignoring.pooled.url}?options=-cwork_mem%3D8MB`);
  });
});
