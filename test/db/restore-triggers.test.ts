import { afterEach, expect, test } from '@jest/globals';
import {
  checksum,
  conflicts,
  database,
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

afterEach(() => sql('drop function directory.norm() cascade'));

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
