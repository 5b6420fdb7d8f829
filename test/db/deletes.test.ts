import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Change, JobDefinition } from '../../src/sdk/contract.js';
import { defineJob, table } from '../../src/sdk/index.js';
import { loadJob } from '../../src/worker/registry.js';
import { restoreRuns } from '../../src/worker/restore-runs.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import { elect } from '../../src/runs/election.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';

const database = await testDatabase();
const platform = testPlatform(database);
const { owner } = database;
afterAll(() => platform.planner.close());

await owner.query(`
  create table directory.session (
    id bigint generated always as identity primary key, home_region text not null, tenant text not null,
    opened timestamptz not null default now(), note jsonb, length int, twice int generated always as (length * 2) stored
  );
  grant select, delete, insert, update on directory.session to public;
  create table directory.session_event (session bigint);
  create function directory.nothing() returns trigger language plpgsql as 'begin new.id := 1; return new; end'`);

beforeEach(() =>
  owner.query(`
    truncate directory.session;
    insert into directory.session (home_region, tenant, note, length)
    select 'here', 't' || n % 3, jsonb_build_object('n', n), n from generate_series(1, 40) n`),
);

/** Deletes the sessions of one tenant, written as another team writes a job. */
const cleanUp = defineJob({
  name: 'sessions',
  version: '1.0.0',
  unit: { table: 'directory.session', key: 'tenant', region: 'home_region' },
  resources: { session: table('directory.session', { key: 'id', deletes: true, region: 'home_region' }) },
  kinds: { 'drop-session': 'session' },
  async *plan({ rows, region, units }) {
    const old = rows<{ id: string; home_region: string; tenant: string }>`
      select id, home_region, tenant, opened, note, length from directory.session
      where home_region = ${region} and tenant = ${'t1'} order by id`;
    for await (const { id, ...before } of old) {
      if (!units.has(before.tenant)) continue;
      yield {
        ...{ kind: 'drop-session', resource: 'session', key: id, unit: before.tenant },
        ...{ before, after: null, evidence: {} },
      };
    }
  },
});

let slot = 0;
async function run(definition: JobDefinition = cleanUp): Promise<RunReport> {
  const job = await loadTestJob(platform, definition);
  platform.flags.open('sessions', 'here', { version: job.version, permille: 1000 });
  slot += 1;
  const election = await elect(platform.region, {
    ...{ job: 'sessions', version: job.version, region: 'here', slot: new Date(slot) },
    ...{ trigger: 'manual', worker: 'test', leaseMs: 20_000 },
  });
  if (!election.elected) throw new Error(election.why);
  const { signal } = new AbortController();
  const policy = testPolicy('sessions', ['here']);
  const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
  if (!report) throw new Error('the run was given up');
  return report;
}

async function rowsNow(): Promise<string[]> {
  const { rows } = await owner.query<{ row: string }>(
    'select s::text as row from directory.session s order by id',
  );
  return rows.map(({ row }) => row);
}

describe('a resource whose rows are deleted', () => {
  test('is restored whole: key, every column, and what the database computes', async () => {
    const before = await rowsNow();
    const report = await run();
    expect(report).toMatchObject({ status: 'succeeded', applied: { 'drop-session': 14 }, conflicts: 0 });
    expect(await rowsNow()).toHaveLength(26);
    const [restored] = await restoreRuns(platform, [report.run.id], {
      signal: new AbortController().signal,
      paceOf: () => ({ leaseMs: 20_000, batch: 5 }),
    });
    expect(restored?.left).toMatchObject({ restorable: 0, conflicts: 0 });
    expect(await rowsNow()).toEqual(before);
  });

  test('keeps a row in which anything has changed since it was read', async () => {
    const report = await run({
      ...cleanUp,
      async *plan(context) {
        for await (const change of cleanUp.plan(context)) yield change;
        await owner.query(`update directory.session set note = '{}' where tenant = 't1' and length < 8`);
      },
    });
    expect(report).toMatchObject({ status: 'succeeded', applied: { 'drop-session': 11 }, conflicts: 3 });
    expect(await rowsNow()).toHaveLength(29);
  });

  test('is never changed, nor deleted by halves', async () => {
    const twisted = (twist: (change: Change) => Change) =>
      run({
        ...cleanUp,
        async *plan(context) {
          for await (const change of cleanUp.plan(context)) yield twist(change);
        },
      });
    const all = await rowsNow();
    expect(await twisted((change) => ({ ...change, after: { ...change.before, length: 1 } }))).toMatchObject({
      status: 'refused',
      reason: expect.stringContaining('resource session only deletes rows'),
    });
    expect(await twisted((change) => ({ ...change, before: { tenant: 't1' } }))).toMatchObject({
      status: 'refused',
      reason: expect.stringContaining('before lacks column'),
    });
    expect(await rowsNow()).toEqual(all);
  });

  test.each([
    [
      'rows of another table would go with its own',
      `alter table directory.session_event add constraint of_session foreign key (session)
       references directory.session on delete cascade`,
      'alter table directory.session_event drop constraint of_session',
      'deleting its rows would delete rows of directory.session_event (constraint of_session)',
    ],
    [
      'a trigger gives them other keys when they are restored',
      `create trigger tell before insert on directory.session for each row execute function directory.nothing()`,
      'drop trigger tell on directory.session',
      'trigger tell sets its key, so the row could not be found again',
    ],
  ])('is refused where %s', async (_, make, undo, said) => {
    const installed = { definition: cleanUp, folder: new URL('.', import.meta.url), build: 'test' };
    await owner.query(make);
    try {
      await expect(loadJob(owner, installed)).rejects.toMatchObject({
        code: 'JOB_INVALID',
        message: expect.stringContaining(said),
      });
    } finally {
      await owner.query(undo);
    }
    expect((await loadJob(owner, installed)).version).toBe('1.0.0_test');
  });
});
