import { afterEach, describe, expect, test } from '@jest/globals';
import {
  checksum,
  conflicts,
  database,
  platform,
  region,
  restoreOnly,
  run,
  sql,
} from '../support/restoring.js';

const { owner } = database;

/** Has the database say something to the update of one account, from a trigger. */
async function onUpdate(account: string, says: string, deferred = false): Promise<void> {
  await owner.query(`
    create function directory.objection() returns trigger language plpgsql as $$
    begin
      if new.id = '${region}-acc-${account}' then ${says}; end if;
      return new;
    end $$;
    create ${deferred ? 'constraint trigger objects after' : 'trigger objects before'} update on directory.account
    ${deferred ? 'deferrable initially deferred' : ''}
    for each row execute function directory.objection()`);
}

afterEach(() =>
  owner.query(`
    drop trigger if exists objects on directory.account;
    drop function if exists directory.objection;
    drop sequence if exists directory.tries`),
);

interface Refused {
  readonly key: string;
  readonly refusal: string | null;
}

async function refused(runId: string): Promise<Refused[]> {
  const { rows } = await owner.query<Refused>(
    `select c.key, x.refusal from portcullis_region.conflict x
     join portcullis_region.change c using (run, lane, seq) where x.run = $1`,
    [runId],
  );
  return rows;
}

const managed = async (): Promise<number> =>
  (
    await owner.query<{ n: number }>(
      `select count(*) as n from directory.account where home_region = $1 and state = 'MANAGED'`,
      [region],
    )
  ).rows[0]?.n ?? -1;

const OBJECTIONS: [string, string, boolean][] = [
  ['a plain exception (P0001)', `raise exception 'not this one'`, false],
  ['an SQLSTATE of its own', `raise exception 'not this one' using errcode = 'AB123'`, false],
  ['an SQLSTATE of a driver', `raise exception 'not this one' using errcode = '38001'`, false],
  ['a check that is judged at the commit', `raise check_violation using message = 'not this one'`, true],
  ['an exception of a deferred trigger', `raise exception 'not this one'`, true],
];

describe('a change that the database refuses', () => {
  test.each(OBJECTIONS)('by %s is recorded, and the others are applied', async (_, says, deferred) => {
    await onUpdate('5-5', says, deferred);
    const report = await run();
    expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 199 }, conflicts: 1 });
    expect(await refused(report.run.id)).toEqual([{ key: `${region}-acc-5-5`, refusal: 'not this one' }]);
    expect(await managed()).toBe(199);
  });

  test('with more words than anybody reads is kept with the first of them', async () => {
    await onUpdate('5-5', `raise exception '%', repeat('🚨', 100000)`);
    const [one] = await refused((await run()).run.id);
    expect(one?.refusal).toBe(`${'🚨'.repeat(499)}…`);
  });

  test.each(OBJECTIONS)('by %s while it is restored is a conflict, shown', async (_, says, deferred) => {
    const bad = await run();
    await onUpdate('3-7', says, deferred);
    const { report } = await restoreOnly(bad.run.id);
    expect(report).toMatchObject({
      ...{ status: 'succeeded', applied: { claim: 199 }, conflicts: 1 },
      reason: 'the database refused to restore 1 row',
    });
    expect(await managed()).toBe(1);
    const shown = (await conflicts(bad.run.id)).map(({ key, refusal }) => ({ key, refusal }));
    expect(shown).toEqual([{ key: `${region}-acc-3-7`, refusal: 'not this one' }]);
  });
});

describe('an error that says nothing of a change ends the run, and no change is refused', () => {
  test('a missing privilege, with the GRANT to run', async () => {
    const before = await checksum();
    const { rows } = await platform.region.query<{ login: string }>('select current_user as login');
    const worker = rows[0]?.login ?? '';
    await owner.query(`revoke update on directory.account from "${worker}"`);
    try {
      const report = await run();
      expect(report).toMatchObject({ status: 'failed', code: 'TABLE_UNWRITABLE', conflicts: 0 });
      expect(report.reason).toBe(
        'a batch cannot be written: permission denied for table account (SQLSTATE 42501); ' +
          `run: grant update on "directory"."account" to ${worker}`,
      );
      expect(await checksum()).toBe(before);
    } finally {
      await owner.query(`grant update on directory.account to "${worker}"`);
    }
  });

  test('a privilege that a trigger lacks, or a column or table that it misses', async () => {
    for (const [says, reason] of [
      [`delete from portcullis_control.policy`, /table policy.*42501.*trigger/],
      ['new.nowhere := 1', /"nowhere".*42703.*trigger/],
      ['perform 1 from nowhere', /"nowhere".*42P01.*trigger/],
    ] as const) {
      await onUpdate('5-5', says);
      const report = await run();
      expect(report).toMatchObject({ status: 'failed', code: 'TABLE_UNWRITABLE', conflicts: 0 });
      expect(report.reason).toMatch(reason);
      await sql('drop trigger objects on directory.account; drop function directory.objection');
    }
  });

  test('a row whose trigger is cancelled is tried a few times, and not for ever', async () => {
    await owner.query('create sequence directory.tries; grant usage on sequence directory.tries to public');
    await onUpdate(
      '5-5',
      `perform nextval('directory.tries'); raise query_canceled using message = 'statement timeout'`,
    );
    const report = await run();
    expect(report).toMatchObject({ status: 'failed', code: 'BATCH_INTERRUPTED', conflicts: 0 });
    expect(report.reason).toBe(
      'a batch was cancelled 5 times in a row, and not by a kill of this run: statement timeout (SQLSTATE 57014); ' +
        'the batches before it stay applied. Find the cause (a time limit in a trigger or function, or who cancels it), ' +
        'then restore this run, or let the next run do the rest',
    );
    const { rows } = await owner.query<{ tries: number }>('select last_value as tries from directory.tries');
    expect(rows[0]?.tries).toBe(5);
  });

  test.each(['restored exactly', 'finished by the next run'])(
    'a run that a row’s own time limit left half applied can be %s',
    async (how) => {
      const before = await checksum();
      // What the server says when the trigger's own limit is over.
      await onUpdate(
        '5-5',
        `raise query_canceled using message = 'canceling statement due to statement timeout'`,
      );
      const report = await run();
      expect(report).toMatchObject({ status: 'failed', code: 'BATCH_INTERRUPTED', conflicts: 0 });
      const applied = await managed();
      expect(applied).toBeGreaterThan(0);
      expect(applied).toBeLessThan(200);
      expect(report.applied).toEqual({ claim: applied });
      await sql('drop trigger objects on directory.account; drop function directory.objection');
      if (how === 'restored exactly') {
        const { report: restore } = await restoreOnly(report.run.id);
        expect(restore).toMatchObject({ status: 'succeeded', applied: { claim: applied }, conflicts: 0 });
        expect(await checksum()).toBe(before);
      } else {
        expect(await run()).toMatchObject({ status: 'succeeded', applied: { claim: 200 - applied } });
        expect(await managed()).toBe(200);
      }
    },
  );
});
