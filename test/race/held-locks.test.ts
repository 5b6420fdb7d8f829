import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { gateLockName } from '../../src/gate/lock.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { LOCKS, NAMED_LOCKS } from '../../src/postgres/locks.js';
import { testDatabase } from '../support/database.js';
import { portcullis, type Finished } from '../support/portcullis.js';
import { stopped } from './standing-still.js';
import { adminHome } from '../support/people.js';

/** What a command may take that waits for nobody's lock, on a machine that is busy with a lot else. */
const BOUND_MS = 60_000;

const database = await testDatabase();
const { owner } = database;
const planner = pg.escapeIdentifier(decodeURIComponent(new URL(database.plannerUrl).username));

let env: Record<string, string>;
beforeAll(async () => {
  env = { PORTCULLIS_DATABASE_URL: database.url, PORTCULLIS_HOME: await adminHome(owner) };
  await owner.query(
    `insert into portcullis_control.flag (job, region, reason, changed_by)
     select 'domain-claim', region, 'test', 'test' from unnest($1::text[]) as region`,
    [SAMPLE_REGIONS],
  );
});

/** How whoever holds a lock in this test lets it go, and how many have lost it. */
const holders: (() => unknown)[] = [];
let lost = 0;
afterEach(async () => {
  for (const letGo of holders.splice(0)) await letGo();
  lost = 0;
});

/** A session that takes a lock, and then stands still. */
async function plant(url: string, sql: string, values: unknown[] = []): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined).on('end', () => (lost += 1));
  holders.push(() => client.end().catch(() => undefined));
  await client.connect();
  await client.query(sql, values);
}

interface Said extends Finished {
  readonly tookMs: number;
}

async function cli(...args: string[]): Promise<Said> {
  const startedAt = performance.now();
  return { ...(await portcullis(args, { env }).finished), tookMs: performance.now() - startedAt };
}

/** Both looks answer while the lock is held: status with all there is, the doctor with what it finds. */
async function expectLooks(): Promise<void> {
  const [status, doctor] = await Promise.all([cli('status', '--json'), cli('doctor', '--json')]);
  expect(status).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(status.stdout)).toMatchObject({ jobs: expect.any(Array) });
  expect([doctor.stderr, JSON.parse(doctor.stdout)]).toMatchObject([
    '',
    { findings: expect.arrayContaining([expect.objectContaining({ check: 'permits' })]) },
  ]);
  expect(Math.max(status.tookMs, doctor.tookMs)).toBeLessThan(BOUND_MS);
}

async function kill(region: string): Promise<Said> {
  const said = await cli('kill', 'domain-claim', '--region', region, '--reason', 'it must stop');
  expect(said.tookMs).toBeLessThan(BOUND_MS);
  expect([said.code, said.stdout]).toEqual([
    0,
    expect.stringContaining('domain-claim is killed: no change of it commits any more'),
  ]);
  const { rows } = await owner.query(
    `select state from portcullis_region.gate where job = 'domain-claim' and region = $1`,
    [region],
  );
  expect(rows).toEqual([{ state: 'killed' }]);
  return said;
}

const [roles, audit, shared, alone, midway] = SAMPLE_REGIONS;

describe('whoever holds', () => {
  test("the logins' lock: a migrate that stands still while it sets up the roles", async () => {
    await owner.query(`alter role ${planner} connection limit 1`);
    const zombie = await stopped({ env, database }, ['migrate'], 'migrate.locked', 1);
    holders.push(() => zombie.child.kill('SIGKILL'));
    await expectLooks();
    expect((await kill(roles)).stderr).not.toContain('not yet on record');
  });

  test('the audit log: a kill says that it is not on record, and doctor and audit verify that it waits', async () => {
    await plant(database.url, 'select pg_advisory_lock($1)', [LOCKS.audit]);
    await expectLooks();
    expect((await kill(audit)).stderr).toContain('killed; not yet on record: ');
    const [doctor, verify] = await Promise.all([cli('doctor', '--json'), cli('audit', 'verify', '--json')]);
    expect(JSON.parse(doctor.stdout)).toMatchObject({
      findings: expect.arrayContaining([
        expect.objectContaining({ check: 'record', mark: 'warn', found: expect.stringMatching(/^1 kill /) }),
      ]),
    });
    expect([verify.code, JSON.parse(verify.stdout)]).toMatchObject([0, { waiting: { kills: 1 } }]);
  });

  test.each([
    ['shared, by the worker', shared, database.workerUrl, 'pg_advisory_lock_shared($1, hashtext($2))'],
    ['alone, by the planner', alone, database.plannerUrl, 'pg_advisory_lock($1, hashtext($2))'],
  ])("the gate's lock for as long as its session lasts, %s: a kill ends it", async (_, region, url, lock) => {
    await plant(url, `select ${lock}`, [NAMED_LOCKS.gate, gateLockName('domain-claim', region)]);
    await expectLooks();
    expect((await kill(region)).stderr).not.toContain('not yet on record');
    expect(lost).toBe(1);
  });

  test('tables, by a migration that stands still midway: the looks name it, and a kill ends it', async () => {
    await plant(
      database.url,
      `set application_name = 'slow migration'; begin; select pg_advisory_xact_lock(${LOCKS.migration});
       alter table portcullis_region.gate add column later text; alter table portcullis_control.audit add column later text`,
    );
    const [status, doctor] = await Promise.all([cli('status'), cli('doctor', '--json')]);
    const named = expect.stringMatching(/is locked; held by process \d+ .*"slow migration"/);
    expect([status.code, status.stderr]).toEqual([1, named]);
    expect(status.stderr).toMatch(/DATABASE_LOCKED[^]*pg_terminate_backend\(\d+\)/);
    expect([doctor.code, JSON.parse(doctor.stdout)]).toMatchObject([
      1,
      { findings: expect.arrayContaining([expect.objectContaining({ mark: 'fail', found: named })]) },
    ]);
    expect(Math.max(status.tookMs, doctor.tookMs)).toBeLessThan(BOUND_MS);
    expect((await kill(midway)).stderr).not.toContain('not yet on record');
    expect(lost).toBe(1);
  });
});
