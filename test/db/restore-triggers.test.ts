import { afterEach, expect, test } from '@jest/globals';
import { findRun } from '../../src/runs/browse-runs.js';
import { previewRestores } from '../../src/worker/restore-runs.js';
import {
  checksum,
  conflicts,
  database,
  platform,
  preview,
  region,
  restoreOnly,
  run,
  sql,
} from '../support/restoring.js';

/** A trigger of the directory's own that gives times whole seconds, as `norm` did where a run could not be restored. */
const norm = (): Promise<void> =>
  sql(`create function directory.norm() returns trigger language plpgsql as
         $$ begin new.claimed_at := date_trunc('second', new.claimed_at); return new; end $$;
       create trigger norm before update on directory.account for each row execute function directory.norm()`);

afterEach(() => sql('drop function if exists directory.norm() cascade'));

async function forecast(id: string) {
  const [first] = await previewRestores(platform.region, [id], { trial: true });
  if (!first) throw new Error('there is no such run');
  return first.preview;
}

test('a run on a table whose trigger rounds is restored exactly, with no row that nobody touched as a conflict', async () => {
  await norm();
  const before = await checksum();
  const bad = await run();
  expect(bad).toMatchObject({ status: 'succeeded', applied: { claim: 200 } });
  const { rowCount } = await database.owner.query(
    `select from directory.account where home_region = $1 and claimed_at <> date_trunc('second', claimed_at)`,
    [region],
  );
  expect(rowCount).toBe(0);
  expect(await preview(bad.run.id)).toMatchObject({ restorable: 200, conflicts: 0 });
  const { report, left } = await restoreOnly(bad.run.id);
  expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 200 }, conflicts: 0 });
  expect(left).toMatchObject({ alreadyRestored: 200, restorable: 0 });
  expect(await checksum()).toBe(before);
});

test('rows that the trigger does not let be what they were are refused one by one, and all others are restored', async () => {
  await sql(`update directory.account set claimed_at = '2026-01-01 00:00:00.5+00'
             where home_region = 'REGION' and id like '%-acc-3-%'`);
  await norm();
  const before = await checksum();
  const bad = await run();
  // The dry run has found them, and has changed nothing.
  const ran = await checksum();
  expect(await forecast(bad.run.id)).toMatchObject({
    restorable: 200,
    triggers: [
      { resource: 'account', trigger: 'norm', when: 'before', on: ['update'], sets: ['claimed_at'] },
    ],
    trial: { tried: 200, refused: 20, sets: [], writes: [], ended: null },
  });
  expect((await forecast(bad.run.id)).trial?.examples[0]?.why).toMatch(
    /^account .*-acc-3-.* would not be what it was: claimed_at; a trigger of directory\.account/,
  );
  expect(await checksum()).toBe(ran);
  const { report, left } = await restoreOnly(bad.run.id);
  expect(report).toMatchObject({
    ...{ status: 'succeeded', applied: { claim: 180 }, conflicts: 20 },
    reason: 'the database refused to restore 20 rows',
  });
  expect(left).toMatchObject({ alreadyRestored: 180, restorable: 20 });
  const refused = await conflicts(bad.run.id);
  expect(refused).toHaveLength(20);
  expect(refused[0]?.refusal).toMatch(
    /would not be what it was: claimed_at; a trigger of directory\.account/,
  );
  // Without it, the rest follows.
  await sql('alter table directory.account disable trigger norm');
  expect((await restoreOnly(bad.run.id)).report).toMatchObject({ applied: { claim: 20 } });
  expect(await checksum()).toBe(before);
});

test('what triggers do besides is announced: the columns that they set, and the tables that they write', async () => {
  await sql(`
    alter table directory.account add column touched timestamptz;
    create table directory.account_log (account text, at timestamptz);
    grant insert on directory.account_log to public;
    create function directory.norm() returns trigger language plpgsql as
      $$ begin new.touched := clock_timestamp(); insert into directory.account_log values (new.id, now()); return new; end $$;
    create trigger norm before update on directory.account for each row execute function directory.norm()`);
  try {
    const bad = await run();
    const logged = async (): Promise<number> =>
      (await database.owner.query('select from directory.account_log')).rowCount ?? -1;
    expect(await logged()).toBe(200);
    expect((await forecast(bad.run.id)).trial).toEqual({
      ...{ tried: 200, refused: 0, examples: [], ended: null },
      sets: [{ resource: 'account', columns: ['touched'] }],
      writes: [{ table: 'directory.account_log', inserted: 200, updated: 0, deleted: 0 }],
    });
    expect(await logged()).toBe(200);
    await restoreOnly(bad.run.id);
    expect(await logged()).toBe(400);
  } finally {
    await sql(`drop table directory.account_log; alter table directory.account drop column touched`);
  }
});

test('a row that somebody has locked ends the trial, and nothing else of the dry run', async () => {
  await norm();
  const bad = await run();
  const other = await database.owner.connect();
  try {
    await other.query('begin');
    await other.query(`update directory.account set email = email where home_region = $1`, [region]);
    expect(await forecast(bad.run.id)).toMatchObject({
      restorable: 200,
      trial: { tried: 0, ended: 'canceling statement due to lock timeout' },
    });
  } finally {
    await other.query('rollback');
    other.release();
  }
});

test('nothing is tried while everything is stopped, nor where no trigger fires', async () => {
  const bad = await run();
  expect(await forecast(bad.run.id)).toMatchObject({ triggers: [], trial: null });
  await norm();
  await sql(`update portcullis_region.gate set stopped = true where region = 'REGION'`);
  expect(await forecast(bad.run.id)).toMatchObject({ triggers: [{ trigger: 'norm' }], trial: null });
});

test('a dry run of the job tries its plan where triggers fire, and says what they do besides', async () => {
  await sql(`
    create table directory.account_log (account text);
    grant insert on directory.account_log to public;
    create function directory.norm() returns trigger language plpgsql as
      $$ begin insert into directory.account_log values (new.id); return null; end $$;
    create trigger norm after update on directory.account for each row execute function directory.norm()`);
  try {
    const before = await checksum();
    const dry = await run(undefined, undefined, region, true);
    expect(dry).toMatchObject({ status: 'planned', planned: { claim: 200 } });
    expect((await findRun(database.owner, dry.run.id)).triggers).toEqual({
      fire: [
        {
          ...{ resource: 'account', table: 'directory.account', trigger: 'norm', when: 'after' },
          ...{ on: ['update'], sets: [] },
        },
      ],
      trial: {
        ...{ tried: 200, refused: 0, examples: [], sets: [], ended: null },
        writes: [{ table: 'directory.account_log', inserted: 200, updated: 0, deleted: 0 }],
      },
    });
    expect(await checksum()).toBe(before);
    expect((await database.owner.query('select from directory.account_log')).rowCount).toBe(0);
    // Behind a closed gate nothing is carried out, not even to be rolled back.
    platform.flags.close('claims', region);
    const closed = await run(undefined, undefined, region, true);
    expect((await findRun(database.owner, closed.run.id)).triggers).toMatchObject({ trial: null });
  } finally {
    await sql('drop table directory.account_log');
  }
});
