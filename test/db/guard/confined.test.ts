import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { GuardPolicy } from '../../../src/flags/guard-policy.js';
import { killGate } from '../../../src/containment/kill-gate.js';
import { verdictsOf, type VerdictView } from '../../../src/guard/verdict-rows.js';
import { executeRun, type RunReport } from '../../../src/worker/run-loop.js';
import { elect } from '../../../src/runs/election.js';
import { claimEverything, seedAccounts } from '../../support/accounts.js';
import { testDatabase } from '../../support/database.js';
import { loadTestJob, noRules, testPlatform, testPolicy } from '../../support/platform.js';
import { until } from '../../support/until.js';

const database = await testDatabase();
const { owner } = database;
const platform = testPlatform(database);
afterAll(() => platform.planner.close());
const job = await loadTestJob(platform, claimEverything('claims'));

/** Each test works in a region of its own: ten organisations with two accounts each. */
let region = '';
let regions = 0;
beforeEach(async () => {
  await owner.query('delete from portcullis_region.quarantine');
  regions += 1;
  region = `region-${regions}`;
  await seedAccounts(owner, region, 10, 2);
});

async function runUnder(sql: string, timeoutMs = 60_000): Promise<RunReport> {
  const report = await endUnder(sql, timeoutMs);
  if (!report) throw new Error('the run was given up');
  return report;
}

async function endUnder(sql: string, timeoutMs = 60_000): Promise<RunReport | undefined> {
  const { version } = job;
  platform.flags.open('claims', region, { version, permille: 1000 });
  const guard: GuardPolicy = { ...noRules, rules: [{ kind: 'invariant', name: 'odd', timeoutMs, sql }] };
  const claim = { job: 'claims', version, region, worker: 'test', leaseMs: 60_000 } as const;
  const election = await elect(platform.region, { ...claim, trigger: 'manual' });
  if (!election.elected) throw new Error(election.why);
  const policy = testPolicy('claims', [region], { guard });
  const { signal } = new AbortController();
  return executeRun(platform, job, policy, election.run, 'planning', { signal });
}

async function verdictOf({ run }: RunReport): Promise<VerdictView | undefined> {
  return (await verdictsOf(owner, run.id)).find(({ rule }) => rule === 'odd');
}

/** What outlives a run in its connections: locks, transactions, and a role or a setting that is not the worker's own. */
async function leftOver(): Promise<unknown[]> {
  const { rows: locks } = await owner.query(
    `select mode from pg_locks where locktype = 'advisory'
     and database = (select oid from pg_database where datname = current_database())`,
  );
  const { rows: open } = await owner.query(
    `select state from pg_stat_activity
     where datname = current_database() and state like 'idle in transaction%'`,
  );
  const { rows: worker } = await platform.region.query<{ role: string; path: string }>(
    `select current_user = session_user as role, current_setting('search_path') as path`,
  );
  return [locks, open, worker];
}
const NOTHING = await leftOver();
expect(NOTHING).toMatchObject([[], [], [{ role: true }]]);

describe('an invariant', () => {
  test('is asked as the guard’s role, of the plan and the directory', async () => {
    const report = await runUnder(
      `select current_user as asked_as, count(*) as planned, (select count(*) from account where home_region = '${region}') as there
       from proposed group by 1`,
    );
    expect(report).toMatchObject({ status: 'refused', code: 'guard-tripped' });
    const { rows } = await owner.query<{ role: string }>('select role from portcullis_guard.reader');
    expect(await verdictOf(report)).toMatchObject({
      verdict: 'fail',
      figures: { observed: 1 },
      evidence: [{ asked_as: rows[0]?.role, planned: '20', there: '20' }],
    });
    expect(await leftOver()).toEqual(NOTHING);
  });

  const DENIED = /permission denied/;
  const CONFINED = /cannot set parameter "(role|session_authorization)" within security-definer function/;
  const NO_ROWS = /cannot open [A-Z ]+ query as cursor/;
  const READS_ONLY = /is not allowed in a non-volatile function/;
  const worker = decodeURIComponent(new URL(database.workerUrl).username);

  test.each<[string, string, RegExp]>([
    ['leaves its role', `select set_config('role', 'none', true)`, CONFINED],
    ['leaves its role for the session', `select set_config('role', 'none', false)`, CONFINED],
    ['takes the worker’s role', `select set_config('role', '${worker}', true)`, CONFINED],
    [
      'leaves its role and reads on',
      `select set_config('role', 'none', true), t.lease_until from portcullis_region.run t`,
      DENIED,
    ],
    ['becomes another session', `select set_config('session_authorization', '${worker}', true)`, CONFINED],
    ['resets its role', 'reset role', NO_ROWS],
    ['sets its role', `set role '${worker}'`, NO_ROWS],
    ['sets the session’s authorization', `set session authorization '${worker}'`, NO_ROWS],
    [
      'leaves its role through another function',
      `select query_to_xml('set role none', true, true, '')`,
      READS_ONLY,
    ],
    ['reads the region’s schema', 'select id from portcullis_region.run', DENIED],
    ['reads the journal', 'select key from portcullis_region.change', DENIED],
    ['reads the flags', 'select job from portcullis_control.flag', DENIED],
    ['reads passwords', 'select password from portcullis_store.login', DENIED],
    ['reads a file', `select pg_read_file('postgresql.conf')`, DENIED],
    [
      'ends connections',
      'select pg_terminate_backend(pg_backend_pid())',
      /permission denied|must be a member/,
    ],
    ['deletes', 'delete from account returning id', READS_ONLY],
    ['deletes on the way', 'with d as (delete from account returning id) select * from d', READS_ONLY],
    ['locks rows', 'select id from account for update', READS_ONLY],
    ['makes a temporary table', 'create temporary table mine (a int)', NO_ROWS],
    ['selects into a table', 'select id into temporary mine from account', NO_ROWS],
    ['copies', 'copy account to stdout', NO_ROWS],
    ['runs code', `do 'begin end'`, NO_ROWS],
    ['commits', 'commit', NO_ROWS],
    ['prepares', 'prepare mine as select 1', NO_ROWS],
    ['declares', 'declare mine cursor with hold for select 1', NO_ROWS],
    [
      'makes its transaction writable',
      `select set_config('transaction_read_only', 'off', true)`,
      /cannot set transaction read-write mode/,
    ],
    [
      'is two statements',
      'select 1 where false; select 2 where false',
      /cannot open multi-query plan as cursor/,
    ],
    [
      'is two statements, the second hidden',
      `select 1 where false /*;*/; -- ;
       delete from account`,
      /cannot open multi-query plan as cursor/,
    ],
    ['is none', ' -- nothing', /cannot open multi-query plan as cursor/],
    ['is no SQL', 'selekt 1', /syntax error/],
    ['takes a parameter', 'select $1', /there is no parameter \$1/],
  ])('that %s is unreachable, and its run held', async (_what, sql, says) => {
    const report = await runUnder(sql);
    expect(report).toMatchObject({ status: 'held', code: 'guard-held', applied: {} });
    expect(await verdictOf(report)).toMatchObject({
      verdict: 'unreachable',
      reason: expect.stringMatching(says),
    });
    expect(report.reason).toMatch(/^odd: its query failed: /);
    expect(await leftOver()).toEqual(NOTHING);
    const { rows } = await owner.query('select from directory.account where home_region = $1', [region]);
    expect(rows).toHaveLength(20);
  });

  test.each([
    ['a semicolon', 'select key from proposed where false;'],
    ['a semicolon and a comment', 'select key from proposed where false; -- so it is'],
    [
      'settings of the session',
      `select set_config('search_path', 'public', false) from proposed where false`,
    ],
  ])('that ends in %s is asked', async (_what, sql) => {
    expect(await runUnder(sql)).toMatchObject({ status: 'succeeded' });
  });

  test('that sets the session’s settings leaves none behind', async () => {
    const sets = `select set_config('search_path', 'portcullis_region', false), set_config('portcullis.run', '', false)`;
    const report = await runUnder(sets);
    expect(await verdictOf(report)).toMatchObject({ verdict: 'fail', figures: { observed: 1 } });
    expect(await leftOver()).toEqual(NOTHING);
  });

  test.each([
    ['', `pg_sleep(60)`],
    [', which it has set to none', `set_config('statement_timeout', '0', false), pg_sleep(60)`],
  ])('that takes longer than its time limit%s is unreachable', async (_what, columns) => {
    const report = await runUnder(`select ${columns} from (select 1) one`, 500);
    expect(report).toMatchObject({
      status: 'held',
      reason: 'odd: its query did not answer within 500 ms',
    });
    expect(await leftOver()).toEqual(NOTHING);
  });

  test('that returns 20,000 rows is counted up to 10,000, and 20 are kept, their values cut', async () => {
    const report = await runUnder(
      `select n, case when n < 25 then repeat('🙂', 100000) end as long, null as nothing, now() as at, '{"a": [1]}'::jsonb as json
       from generate_series(1, 20000) n`,
    );
    expect(report).toMatchObject({ status: 'refused', code: 'guard-tripped' });
    expect(report.reason).toMatch(
      /^odd: more than 10,000 changes planned by 1\.0\.0_00000000 break it, such as n 1, long 🙂/,
    );
    const verdict = await verdictOf(report);
    expect(verdict?.figures).toMatchObject({ observed: 10_000, atLeast: true });
    expect(verdict?.evidence).toHaveLength(20);
    expect(verdict?.evidence[19]).toMatchObject({
      n: '20',
      long: expect.stringMatching(/^(🙂){100,150}…$/u),
      nothing: null,
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/),
      json: '{"a": [1]}',
    });
  });

  test('that returns rows without columns counts them', async () => {
    expect(await verdictOf(await runUnder('select from proposed'))).toMatchObject({
      verdict: 'fail',
      figures: { observed: 20, atLeast: false },
    });
  });
});

describe('an invariant that takes the gate’s lock', () => {
  const order = () => ({ job: 'claims', region, reason: 'enough', by: 'ann' });

  test.each([
    ['for the session', 'pg_advisory_lock'],
    ['for the session, shared', 'pg_advisory_lock_shared'],
    ['for the transaction', 'pg_advisory_xact_lock'],
  ])('%s keeps it no longer than its query takes', async (_what, lock) => {
    const sql = `select key from proposed
      where key = (select min(key) from proposed) and ${lock}(7020210, hashtext('claims.${region}'))::text is null`;
    // It would wait for its own run to begin, had that kept the lock.
    expect(await runUnder(sql)).toMatchObject({ status: 'succeeded' });
    expect(await leftOver()).toEqual(NOTHING);
    expect(await killGate(owner, order())).toMatchObject({ inFlight: 0, terminated: 0 });
  });

  test('and fails keeps it no longer either', async () => {
    const sql = `select pg_advisory_lock(7020210, hashtext('claims.${region}')), 1 / count(*) filter (where false) from proposed`;
    expect(await runUnder(sql)).toMatchObject({ status: 'held' });
    expect(await leftOver()).toEqual(NOTHING);
  });
});

/** The connection that an invariant is asked through, once it is. */
async function asked(): Promise<number> {
  return until('the invariant is asked', async () => {
    const { rows } = await owner.query<{ pid: number }>(
      `select pid from pg_stat_activity
       where datname = current_database() and state = 'active' and query like 'select * from portcullis_guard.ask%'`,
    );
    return rows[0]?.pid;
  });
}

describe('while an invariant is asked', () => {
  const SLOW = 'select key from proposed where pg_sleep(600) is null';

  test('a connection that is lost gives the run up at once, and leaves nothing', async () => {
    const ends = endUnder(SLOW, 600_000);
    await owner.query('select pg_terminate_backend($1)', [await asked()]);
    expect(await ends).toBeUndefined();
    const { rows } = await owner.query(
      `select status, attempt, lease_until < now() as released, reason_code,
         (select count(*) from portcullis_region.plan p where p.run = r.id) as plans,
         (select count(*) from portcullis_region.change c where c.run = r.id) as changes
       from portcullis_region.run r where region = $1`,
      [region],
    );
    expect(rows).toEqual([
      { status: 'planning', attempt: 1, released: true, reason_code: 'elected', plans: 0, changes: 0 },
    ]);
  });

  test('a query that is cancelled is said to be that, and holds the run', async () => {
    const ends = endUnder(SLOW, 600_000);
    await owner.query('select pg_cancel_backend($1)', [await asked()]);
    expect(await ends).toMatchObject({
      status: 'held',
      reason: expect.stringMatching(/^odd: its query failed: canceling statement due to user request/),
    });
  });

  test.each(['pg_advisory_lock', 'pg_advisory_lock_shared', 'pg_advisory_xact_lock'])(
    'and has the gate’s lock by %s, a kill comes through and ends it',
    async (lock) => {
      const ends = endUnder(`select ${lock}(7020210, hashtext('claims.${region}')), pg_sleep(600)`, 600_000);
      await asked();
      await until('it has the lock', async () => {
        const { rowCount } = await owner.query(
          `select from pg_locks where locktype = 'advisory' and granted
           and database = (select oid from pg_database where datname = current_database())`,
        );
        return rowCount === 1;
      });
      const { tookMs } = await killGate(owner, { job: 'claims', region, reason: 'enough', by: 'ann' });
      // Its grace is a second; the query has ten minutes.
      expect(tookMs).toBeLessThan(60_000);
      expect((await ends)?.status ?? 'given up').toMatch(/^(held|killed|given up)$/);
      expect(await leftOver()).toEqual(NOTHING);
    },
  );
});
