import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createReadiness, type ReadinessOptions } from '../../src/server/readiness.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { RunsUnderWay } from '../../src/worker/runs-under-way.js';
import { elect } from '../../src/runs/election.js';
import { openPool } from '../../src/postgres/pool.js';
import { claimEverything, seedAccounts } from '../support/accounts.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';
import { answerOf, hearFlags, serving } from './serving.js';

const database = await testDatabase();
const { owner } = database;

const asks = (pool: pg.Pool) => () => pool.query('select 1');

async function asking(replaced: Partial<ReadinessOptions> = {}) {
  const served = await serving(owner, {
    readiness: createReadiness({
      databases: { control: asks(owner), region: asks(owner) },
      flags: () => ({ heardAgeMs: 0 }),
      flagsMaxAgeMs: 60_000,
      ...replaced,
    }),
  });
  return async () => {
    const { status, body } = await answerOf(await fetch(`${served.url}/readyz`));
    return { status, body, health: (await fetch(`${served.url}/healthz`)).status };
  };
}

describe('/readyz', () => {
  test('is ready while the database answers and flags are fresh', async () => {
    const ask = await asking();
    expect(await ask()).toEqual({ status: 200, body: { status: 'ready', reasons: [] }, health: 200 });
  });

  test('names a run that hangs, and is ready again when it was given up', async () => {
    const underWay = new RunsUnderWay();
    const platform = { ...testPlatform(database), progressMs: 2_000, underWay };
    const definition = claimEverything('claims', async function* () {
      await new Promise(() => undefined);
    });
    const job = await loadTestJob(platform, definition);
    await seedAccounts(owner, 'r1', 1, 1);
    platform.flags.open('claims', 'r1', { version: job.version, permille: 1000 });
    const policy = testPolicy('claims', ['r1'], { leaseMs: 6_000 });
    const claim = {
      job: 'claims',
      version: job.version,
      region: 'r1',
      trigger: 'manual',
      worker: 'w',
    } as const;
    const election = await elect(platform.region, { ...claim, leaseMs: policy.leaseMs });
    if (!election.elected) throw new Error(election.why);
    const ask = await asking({
      runs: {
        hanging: () => underWay.hanging(),
        databases: () => underWay.databases().map((pool) => () => pool.query('select 1')),
      },
    });
    const { signal } = new AbortController();
    const ended = executeRun(platform, job, policy, election.run, 'planning', { signal });
    let over: unknown;
    ended.then(
      (end) => (over = end ?? 'given up'),
      (error: unknown) => (over = error),
    );
    const hangs = await until('the run hangs', async () => {
      if (over !== undefined) throw new Error('the run is over', { cause: over });
      const answer = await ask();
      return answer.status === 503 && answer;
    });
    expect(hangs).toMatchObject({ status: 503, body: { status: 'not-ready' }, health: 200 });
    expect(hangs.body['reasons']).toEqual([
      expect.stringMatching(/^run [0-9a-f]{8} of claims in r1 has shown no progress for /),
    ]);
    expect(await ended).toBeUndefined();
    expect((await ask()).status).toBe(200);
    await platform.planner.close();
  });

  test('turns when flags become stale, and back when they are heard again', async () => {
    let ageMs = 60_000;
    const ask = await asking({ flags: () => ({ heardAgeMs: ageMs }) });
    expect((await ask()).status).toBe(200);
    ageMs = 61_000;
    expect(await ask()).toEqual({
      status: 503,
      body: {
        status: 'not-ready',
        reasons: ['flags are stale: last heard 1 min 1 s ago, at most 1 min allowed'],
      },
      health: 200,
    });
    ageMs = 10;
    expect((await ask()).status).toBe(200);
  });

  test('turns when the source of the flags falls silent', async () => {
    const server = new URL(database.url);
    const proxy = new TcpProxy(server.hostname, Number(server.port));
    await proxy.open();
    server.port = String(proxy.port);
    const { source } = await hearFlags(database.pool(server.toString(), 'flags'));
    const ask = await asking({ flags: () => source.state(), flagsMaxAgeMs: 3_000 });
    await until('the flags are heard', async () => (await ask()).status === 200);
    await proxy.cut();
    const stale = await until('the flags are stale', async () => {
      const answer = await ask();
      return answer.status === 503 && answer;
    });
    expect(stale.body['reasons']).toEqual([expect.stringMatching(/^flags are stale: last heard /)]);
    await proxy.open();
    await until('the flags are heard again', async () => (await ask()).status === 200);
    await proxy.cut();
  });

  test.each([
    ['flag-unauthorised', ['the flag source has refused this process for 7.0 s']],
    ['flag-malformed', ['the flag source gave an invalid answer for 7.0 s']],
    // Nothing is closed before the flags are too old.
    ['flag-unreachable', []],
  ] as const)('tells of %s at once, and not where the source is', async (code, reasons) => {
    const problem = { code, reason: 'http://flags.internal responded' };
    const ask = await asking({ flags: () => ({ heardAgeMs: 10, problem, problemAgeMs: 7_000 }) });
    expect((await ask()).body['reasons']).toEqual(reasons);
  });

  test('is not ready before flags were ever heard', async () => {
    const ask = await asking({ flags: () => ({ heardAgeMs: Infinity }) });
    expect((await ask()).body['reasons']).toEqual(['the flag source has not answered yet']);
  });

  test('names the database that does not answer, and not where it is', async () => {
    const away = openPool('postgres://someone:pw@127.0.0.1:1/none', { name: 'away' });
    const ask = await asking({ databases: { control: asks(owner), region: asks(away) } });
    const { status, body, health } = await ask();
    expect([status, health]).toEqual([503, 200]);
    expect(body['reasons']).toEqual(['the region database does not answer']);
    await away.end();
  });

  test('turns when a database goes away while it is in use', async () => {
    const name = new URL(database.url).pathname.slice(1);
    const pool = openPool(database.workerUrl, { name: 'cut off' });
    const role = new URL(database.workerUrl).username;
    const ask = await asking({ databases: { region: asks(pool) } });
    expect((await ask()).status).toBe(200);
    await owner.query(`revoke connect on database ${name} from public, ${pg.escapeIdentifier(role)}`);
    await owner.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [role]);
    await until('the database is missed', async () => (await ask()).status === 503);
    await owner.query(`grant connect on database ${name} to ${pg.escapeIdentifier(role)}`);
    await until('the database is back', async () => (await ask()).status === 200);
    await pool.end();
  });

  test('does not wait for a database that hangs', async () => {
    const hanging = { query: () => new Promise(() => undefined) } as unknown as pg.Pool;
    const ask = await asking({ databases: { control: asks(hanging) }, timeoutMs: 50 });
    expect((await ask()).body['reasons']).toEqual(['the control database does not answer']);
  });

  test('asks the database once, however many ask it at a time', async () => {
    let queries = 0;
    let answer: () => void = () => undefined;
    const slow = {
      query: () => {
        queries += 1;
        return new Promise<void>((resolve) => (answer = resolve));
      },
    } as unknown as pg.Pool;
    const ready = createReadiness({
      databases: { control: asks(slow) },
      flags: () => ({ heardAgeMs: 0 }),
      flagsMaxAgeMs: 1,
    });
    const asked = Array.from({ length: 50 }, () => ready());
    answer();
    expect(await Promise.all(asked)).toEqual(Array(50).fill([]));
    expect(queries).toBe(1);
  });
});
