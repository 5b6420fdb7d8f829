import { expect, test } from '@jest/globals';
import { claimEverything } from '../support/accounts.js';
import { loadTestJob } from '../support/platform.js';
import { checksum, database, platform, region, restoreOnly, run, sql } from '../support/restoring.js';
import { asOf } from '../../src/journal/as-of.js';
import { impactByUnit, impactOf } from '../../src/journal/impact.js';

const shape = (await loadTestJob(platform, claimEverything('claims'))).shapes.get('account');
if (!shape) throw new Error('the job changes accounts');

const key = (): string => `${region}-acc-3-7`;
const at = (time: Date) => asOf(database.owner, { job: 'claims', shape, key: key() }, time);
async function now(): Promise<Date> {
  const { rows } = await database.owner.query<{ now: Date }>(
    `select date_trunc('milliseconds', clock_timestamp()) + interval '1 ms' as now`,
  );
  const [row] = rows;
  if (!row) throw new Error('no clock');
  return row.now;
}

const UNMANAGED = { state: 'UNMANAGED', organisation_id: null, claimed_at: null, email: 'a7@org3.example' };

test('a row is told as it was before, between and after the runs that changed it', async () => {
  const start = await now();
  expect(await at(start)).toMatchObject({ from: 'row-now', run: null, image: UNMANAGED });
  const bad = await run();
  const between = await now();
  const { report } = await restoreOnly(bad.run.id);
  const end = await now();
  expect(await at(start)).toMatchObject({ from: 'change-after', run: bad.run.id, image: UNMANAGED });
  const { from, run: set, image } = await at(between);
  expect({ from, set }).toEqual({ from: 'change-before', set: bad.run.id });
  expect(image).toMatchObject({
    state: 'MANAGED',
    organisation_id: `${region}-org-3`,
    email: 'a7@org3.example',
  });
  // A time as PostgreSQL writes it, not as the job did.
  expect(image?.['claimed_at']).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00$/);
  expect(await at(end)).toMatchObject({ from: 'change-before', run: report?.run.id, image: UNMANAGED });
});

test('a row is told by its own job’s runs, and not by another’s that calls another table the same', async () => {
  const start = await now();
  const bad = await run();
  const told = { shape, key: key() };
  const later = await now();
  expect(await asOf(database.owner, { job: 'claims', ...told }, later)).toMatchObject({ run: bad.run.id });
  for (const time of [start, later])
    expect(await asOf(database.owner, { job: 'others', ...told }, time)).toMatchObject({ from: 'row-now' });
});

test('a row that is not there has no values', async () => {
  expect(await asOf(database.owner, { job: 'claims', shape, key: 'nobody' }, await now())).toMatchObject({
    from: 'row-now',
    image: null,
  });
});

test('a run’s impact is what it applied, without its conflicts, by kind and by organisation', async () => {
  const before = await checksum();
  const bad = await run(
    claimEverything('claims', async function* (_, claims) {
      yield* claims;
      await sql(
        `update directory.account set email = 'new@x.example' where id in ('REGION-acc-1-1', 'REGION-acc-1-2')`,
      );
    }),
  );
  expect(await checksum()).not.toBe(before);
  const impact = await impactOf(database.owner, bad.run.id);
  expect(impact).toMatchObject({
    ...{ units: 10, rows: 198, conflicts: 2 },
    byKind: [{ resource: 'account', kind: 'claim', rows: 198 }],
  });
  expect(Date.parse(impact.firstAppliedAt ?? '')).toBeLessThanOrEqual(Date.parse(impact.lastAppliedAt ?? ''));
  const units = [];
  for await (const unit of impactByUnit(database.owner, bad.run.id)) units.push(unit);
  expect(units).toHaveLength(10);
  expect(units.at(-1)).toEqual({ unit: `${region}-org-1`, rows: 18, byResource: { account: 18 } });
  expect(await impactOf(database.owner, '00000000-0000-4000-8000-000000000000')).toMatchObject({
    ...{ units: 0, rows: 0, byKind: [], firstAppliedAt: null },
  });
});
