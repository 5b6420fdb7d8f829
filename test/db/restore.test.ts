import { describe, expect, test } from '@jest/globals';
import { tryAgain } from '../../src/gate/batch-error.js';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import { atPoint } from '../support/at-point.js';
import {
  database,
  platform,
  VERSION,
  region,
  run,
  restore,
  restoreOnly,
  preview,
  conflicts,
  checksum,
  sql,
} from '../support/restoring.js';

describe('a run is taken back', () => {
  test('exactly, with nothing left to say', async () => {
    const before = await checksum();
    const bad = await run();
    expect(await checksum()).not.toBe(before);
    const { report, left } = await restoreOnly(bad.run.id);
    expect(report).toMatchObject({
      status: 'succeeded',
      code: 'restored',
      planned: { claim: 200 },
      applied: { claim: 200 },
      conflicts: 0,
      run: { trigger: 'restore', restores: bad.run.id, version: VERSION },
    });
    expect(left).toEqual({ applied: 200, alreadyRestored: 200, restorable: 0, asBefore: 0, conflicts: 0 });
    expect(await checksum()).toBe(before);
  });

  test('in the same lanes and in reverse order, its first batch small', async () => {
    const bad = await run();
    const { report } = await restoreOnly(bad.run.id);
    const { rows } = await database.owner.query(
      `select count(*) as n from portcullis_region.change r
       join portcullis_region.change c on c.run = $2 and c.lane = r.lane and c.resource = r.resource and c.key = r.key
       where r.run = $1 and r.seq + c.seq = (select last_seq + 1 from portcullis_region.lane l where l.run = $1 and l.lane = r.lane)`,
      [report?.run.id, bad.run.id],
    );
    expect(rows).toEqual([{ n: 200 }]);
    const { rows: batches } = await database.owner.query<{ size: number }>(
      `select to_seq - from_seq as size from portcullis_region.batch where run = $1 order by applied_at limit 1`,
      [report?.run.id],
    );
    expect(batches).toEqual([{ size: 10 }]);
  });

  test('a second time, with nothing to do', async () => {
    const bad = await run();
    await restore(bad.run.id);
    const before = await checksum();
    expect((await restoreOnly(bad.run.id)).report).toMatchObject({
      status: 'succeeded',
      code: 'nothing-to-do',
      planned: {},
      reason: `every change of run ${bad.run.id.slice(0, 8)} is restored already`,
    });
    expect(await checksum()).toBe(before);
  });

  test('and the restore itself, and the run again', async () => {
    const before = await checksum();
    const bad = await run();
    const after = await checksum();
    const first = await restoreOnly(bad.run.id);
    const undone = await restoreOnly(first.report?.run.id ?? '');
    expect(undone.report).toMatchObject({ status: 'succeeded', applied: { claim: 200 } });
    expect(await checksum()).toBe(after);
    expect(await preview(bad.run.id)).toMatchObject({ restorable: 200, alreadyRestored: 0 });
    const again = await restoreOnly(bad.run.id);
    expect(again.report).toMatchObject({ applied: { claim: 200 }, conflicts: 0 });
    expect(await checksum()).toBe(before);
    // What took the restore back is itself undone by now, by others.
    expect((await restoreOnly(undone.report?.run.id ?? '')).left).toMatchObject({
      asBefore: 200,
      conflicts: 0,
    });
    expect(await checksum()).toBe(before);
  });

  test('together with others, the newest first', async () => {
    const before = await checksum();
    const first = await run();
    await sql(`update directory.account set email = 'x' || email where home_region = 'REGION'`);
    const edited = await checksum();
    await sql(
      `update directory.account set state = 'UNMANAGED', organisation_id = null, claimed_at = null where home_region = 'REGION'`,
    );
    const released = await checksum();
    const second = await run();
    // In the wrong order, with one twice.
    const reports = await restore(first.run.id, second.run.id, first.run.id);
    expect(reports.map(({ of }) => of.id)).toEqual([second.run.id, first.run.id]);
    expect(reports.map(({ report }) => report?.applied)).toEqual([{ claim: 200 }, { claim: 0 }]);
    // A person had taken the first back, and changed the addresses: nothing of theirs is lost.
    expect(await checksum()).toBe(released);
    expect(reports[1]?.left).toMatchObject({ conflicts: 0, asBefore: 200 });
    expect([before, edited]).not.toContain(released);
  });

  test('when it was stopped midway: what it applied, and no more', async () => {
    const before = await checksum();
    atPoint('apply.committed', 3, async () => {
      platform.flags.close('claims', region);
      await sql(
        `update portcullis_region.gate set state = 'held', epoch = epoch + 1 where region = 'REGION'`,
      );
    });
    const bad = await run();
    onFaultPoint(undefined);
    expect(bad.status).toBe('stopped');
    const applied = bad.applied['claim'] ?? 0;
    expect(applied).toBeGreaterThan(0);
    expect(applied).toBeLessThan(200);
    expect((await restoreOnly(bad.run.id)).report).toMatchObject({
      applied: { claim: applied },
      conflicts: 0,
    });
    expect(await checksum()).toBe(before);
  });

  test('when it applied nothing, with nothing to do and a word of why', async () => {
    platform.flags.close('claims', region);
    const held = await run();
    expect((await restoreOnly(held.run.id)).report).toMatchObject({
      status: 'succeeded',
      code: 'nothing-to-do',
      reason: `run ${held.run.id.slice(0, 8)} applied no change`,
    });
  });
});

describe('rows touched since', () => {
  test('are left alone, and listed with before, after and now', async () => {
    const bad = await run();
    await sql(`update directory.account set state = 'RELEASED' where id = 'REGION-acc-3-7'`);
    await sql(`update directory.account set email = 'new@elsewhere.example' where id = 'REGION-acc-4-4'`);
    await sql(`delete from directory.account where id = 'REGION-acc-5-5'`);
    await sql(
      `update directory.account set state = 'UNMANAGED', organisation_id = null, claimed_at = null where id = 'REGION-acc-6-6'`,
    );
    expect(await preview(bad.run.id)).toEqual({
      ...{ applied: 200, alreadyRestored: 0, restorable: 196, asBefore: 1, conflicts: 3 },
    });
    const { report, left } = await restoreOnly(bad.run.id);
    expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 196 }, conflicts: 4 });
    expect(left).toEqual({ applied: 200, alreadyRestored: 196, restorable: 0, asBefore: 1, conflicts: 3 });
    const listed = await conflicts(bad.run.id);
    expect(listed).toHaveLength(3);
    const released = listed.find(({ key }) => key === `${region}-acc-3-7`);
    const { rows } = await database.owner.query<{ claimed_at: string }>(
      'select claimed_at::text from directory.account where id = $1',
      [`${region}-acc-3-7`],
    );
    const rest = {
      organisation_id: `${region}-org-3`,
      claimed_at: rows[0]?.claimed_at,
      email: 'a7@org3.example',
    };
    expect(released).toEqual({
      ...{
        resource: 'account',
        key: `${region}-acc-3-7`,
        kind: 'claim',
        unit: `${region}-org-3`,
        refusal: null,
      },
      before: { state: 'UNMANAGED', organisation_id: null, claimed_at: null, email: 'a7@org3.example' },
      after: { ...rest, state: 'MANAGED' },
      now: { ...rest, state: 'RELEASED' },
    });
    expect(listed.find(({ key }) => key === `${region}-acc-5-5`)).toMatchObject({ now: null });
    expect(listed.find(({ key }) => key === `${region}-acc-4-4`)).toMatchObject({
      now: { email: 'new@elsewhere.example', state: 'MANAGED' },
    });
  });

  test('in the middle of the restore are not overwritten either', async () => {
    const bad = await run();
    const edited: string[] = [];
    atPoint('apply.before-fence', 3, async () => {
      // The other lane restores meanwhile: what counts is which rows the user's edit has really met. The two take their
      // rows in orders of their own, and of a deadlock the database breaks off one or the other.
      const { rows } = await tryAgain(() =>
        database.owner.query<{ id: string }>(
          `update directory.account set state = 'EXCLUDED' where home_region = $1 and state = 'MANAGED' returning id`,
          [region],
        ),
      );
      edited.push(...rows.map(({ id }) => id));
    });
    const { report, left } = await restoreOnly(bad.run.id);
    expect(edited.length).toBeGreaterThan(0);
    expect(report).toMatchObject({ applied: { claim: 200 - edited.length }, conflicts: edited.length });
    expect(left).toMatchObject({ conflicts: edited.length, alreadyRestored: 200 - edited.length });
    const { rows } = await database.owner.query<{ id: string }>(
      `select id from directory.account where home_region = $1 and state = 'EXCLUDED' order by id`,
      [region],
    );
    expect(rows.map(({ id }) => id)).toEqual(edited.toSorted());
  });

  test('and put back by hand later, can be restored by asking again', async () => {
    const before = await checksum();
    const bad = await run();
    await sql(`update directory.account set state = 'RELEASED' where id = 'REGION-acc-3-7'`);
    await restore(bad.run.id);
    await sql(`update directory.account set state = 'MANAGED' where id = 'REGION-acc-3-7'`);
    expect((await restoreOnly(bad.run.id)).report).toMatchObject({
      planned: { claim: 1 },
      applied: { claim: 1 },
    });
    expect(await checksum()).toBe(before);
  });
});
