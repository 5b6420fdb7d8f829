import { beforeAll, describe, expect, test } from '@jest/globals';
import { LOCKS } from '../../src/postgres/locks.js';
import { emptyDatabase, testDatabase, type GuestDatabase } from '../support/database.js';
import { makeOlderSchema } from '../support/older-schema.js';
import { portcullis, temporaryFolder, type Finished } from '../support/portcullis.js';
import { stopped, wake } from './standing-still.js';

/** What a command may take that waits for nobody's lock, on a machine that is busy with a lot else. */
const BOUND_MS = 60_000;

const current = await testDatabase();
const older = await emptyDatabase();
const stopping = await emptyDatabase();
const newer = await testDatabase();
const empty = await emptyDatabase();

async function environment(url: string): Promise<Record<string, string>> {
  return { PORTCULLIS_DATABASE_URL: url, PORTCULLIS_HOME: await temporaryFolder() };
}

interface Said extends Finished {
  readonly tookMs: number;
}

async function cli(url: string, ...args: string[]): Promise<Said> {
  const env = await environment(url);
  const startedAt = performance.now();
  return { ...(await portcullis(args, { env }).finished), tookMs: performance.now() - startedAt };
}

const kill = (url: string, region: string): Promise<Said> =>
  cli(url, 'kill', 'domain-claim', '--region', region, '--reason', 'it must stop', '--json');

async function withFlags({ owner }: Pick<GuestDatabase, 'owner'>): Promise<void> {
  await owner.query(`
    insert into portcullis_control.flag (job, region, reason, changed_by)
    values ('domain-claim', 'eu-west-1', 'test', 'test'), ('domain-claim', 'us-east-1', 'test', 'test')`);
}

async function gates({ owner }: Pick<GuestDatabase, 'owner'>): Promise<Record<string, string>> {
  const { rows } = await owner.query<{ region: string; state: string }>(
    'select region, state from portcullis_region.gate',
  );
  return Object.fromEntries(rows.map(({ region, state }) => [region, state]));
}

/** What is in a database: its schemas and their tables, and the migrations that ran. */
async function contents({ owner, name }: GuestDatabase): Promise<unknown> {
  const { rows } = await owner.query(
    `select (select array_agg(format('%s.%s', table_schema, table_name) order by 1) from information_schema.tables
             where table_schema not in ('pg_catalog', 'information_schema')) as tables,
       (select array_agg(nspname::text order by 1) from pg_namespace where nspname !~ '^pg_') as schemas,
       (select array_agg(rolname::text order by 1) from pg_roles where starts_with(rolname, $1)) as roles,
       (select datacl::text from pg_database where datname = $1) as acl`,
    [name],
  );
  return rows[0];
}

describe('on a database of the first release', () => {
  beforeAll(async () => {
    await makeOlderSchema(older.owner, older.name);
    await withFlags(older);
  });

  test('a kill and a stop take hold, and migrate nothing', async () => {
    const before = await contents(older);
    const killed = await kill(older.url, 'eu-west-1');
    expect([killed.code, killed.stderr]).toEqual([0, expect.any(String)]);
    expect(JSON.parse(killed.stdout)).toMatchObject({ killed: [{ region: 'eu-west-1' }], failed: [] });
    expect(await gates(older)).toEqual({ 'eu-west-1': 'killed' });
    const all = await cli(older.url, 'stop', '--all', '--reason', 'everything');
    expect([all.code, all.stdout]).toEqual([0, expect.stringContaining('domain-claim is killed')]);
    expect(await gates(older)).toEqual({ 'eu-west-1': 'killed', 'us-east-1': 'killed' });
    expect(await contents(older)).toEqual(before);
  });

  test('status and doctor say so, show what they can, and change nothing', async () => {
    const before = await contents(older);
    const status = await cli(older.url, 'status');
    expect([status.code, status.stdout]).toEqual([0, expect.stringMatching(/eu-west-1 +killed/)]);
    expect(status.stderr).toMatch(/schema is older than this program .*portcullis migrate/);
    const doctor = await cli(older.url, 'doctor', '--json');
    expect(doctor.code).toBe(1);
    expect(JSON.parse(doctor.stdout)).toMatchObject({
      findings: expect.arrayContaining([
        expect.objectContaining({
          check: 'migrations',
          mark: 'fail',
          hint: expect.stringContaining('portcullis migrate'),
        }),
      ]),
    });
    expect(await contents(older)).toEqual(before);
  });

  test('what writes is refused, and told to migrate first', async () => {
    const set = await cli(older.url, 'flags', 'set', 'domain-claim', '--off', '--reason', 'x');
    expect([set.code, set.stderr]).toEqual([
      1,
      expect.stringMatching(/DATABASE_OUTDATED[^]*portcullis migrate/),
    ]);
  });

  test('migrate brings it up to date once, and then has nothing to do', async () => {
    expect((await cli(older.url, 'migrate')).stdout).toMatch(/^control: \d+ migrations ran/);
    expect((await cli(older.url, 'migrate')).stdout).toBe('control: nothing to do\n');
    expect((await cli(older.url, 'status')).code).toBe(0);
  });
});

test('on a newer schema a kill takes hold, status says so, and what writes is refused', async () => {
  await withFlags(newer);
  await newer.owner.query(`
    alter table portcullis_region.gate add column later text not null default 'x';
    insert into portcullis_store.migration (name, sha256) values ('region/999-later.sql', '00')`);
  expect((await kill(newer.url, 'eu-west-1')).code).toBe(0);
  expect((await cli(newer.url, 'stop', '--all', '--reason', 'all')).code).toBe(0);
  expect(await gates(newer)).toEqual({ 'eu-west-1': 'killed', 'us-east-1': 'killed' });
  const status = await cli(newer.url, 'status');
  expect([status.code, status.stdout]).toEqual([0, expect.stringContaining('killed')]);
  expect(status.stderr).toMatch(/newer than this program \(region\/999-later\.sql\)/);
  const set = await cli(newer.url, 'flags', 'set', 'domain-claim', '--off', '--reason', 'x');
  expect([set.code, set.stderr]).toEqual([1, expect.stringContaining('DATABASE_NEWER')]);
});

test('on an empty database whatever acts says that it reached nothing, and nothing is made there', async () => {
  const before = await contents(empty);
  for (const args of [
    ['kill', 'domain-claim', '--reason', 'x'],
    ['stop', '--all', '--reason', 'x'],
  ]) {
    const { code, stdout, stderr } = await cli(empty.url, ...args);
    expect([code, stdout, stderr]).toEqual([1, '', expect.stringContaining('NOTHING_REACHED')]);
  }
  for (const args of [['status'], ['doctor'], ['runs'], ['flags', 'list'], ['audit', 'verify']]) {
    expect((await cli(empty.url, ...args)).code).toBe(1);
  }
  expect(await contents(empty)).toEqual(before);
});

test('a kill that names no region of a migrated database reaches nothing, and says so', async () => {
  const { code, stderr } = await cli(current.url, 'kill', 'domain-claim', '--reason', 'x');
  expect([code, stderr]).toEqual([1, expect.stringContaining('NOTHING_REACHED')]);
  for (const reason of ['', '  ', '\u200b']) {
    const said = await cli(current.url, 'kill', 'domain-claim', '--reason', reason);
    expect([said.code, said.stderr]).toEqual([2, expect.stringContaining('A reason is required')]);
  }
});

describe("while the migrations' lock is held", () => {
  beforeAll(() => withFlags(current));

  test("by the planner's login, every kill and look answers, and no start waits for ever", async () => {
    const planner = await current.pool(current.plannerUrl).connect();
    try {
      await planner.query('select pg_advisory_lock($1)', [LOCKS.migration]);
      const killed = await kill(current.url, 'eu-west-1');
      expect([killed.code, killed.stderr]).toEqual([0, expect.any(String)]);
      expect(killed.tookMs).toBeLessThan(BOUND_MS);
      expect((await cli(current.url, 'status')).code).toBe(0);
      // Nothing is to be done, so nothing is waited for.
      expect((await cli(current.url, 'migrate')).stdout).toBe('control: nothing to do\n');
    } finally {
      planner.release(true);
    }
  });

  test('by a migrate that stands still, a kill answers, and another migrate names the holder', async () => {
    await makeOlderSchema(stopping.owner, stopping.name);
    await withFlags(stopping);
    const world = { env: await environment(stopping.url), database: current };
    const zombie = await stopped(world, ['migrate'], 'migrate.locked', 1);
    const killed = await kill(stopping.url, 'eu-west-1');
    expect([killed.code, killed.stderr]).toEqual([0, expect.any(String)]);
    expect(killed.tookMs).toBeLessThan(BOUND_MS);
    const second = await cli(stopping.url, 'migrate');
    expect([second.code, second.stderr]).toEqual([
      1,
      expect.stringMatching(
        /MIGRATION_LOCKED.*"portcullis owner of control".*[^]*pg_terminate_backend\(\d+\)/,
      ),
    ]);
    expect((await wake(zombie)).code).toBe(0);
  });
});
