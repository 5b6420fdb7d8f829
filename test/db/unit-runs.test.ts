import { expect, test } from '@jest/globals';
import type { PageRequest } from '../../src/postgres/page.js';
import { walk } from '../../src/postgres/page.js';
import { unitRunsBy, type UnitRunFilter } from '../../src/regions/unit-runs.js';
import { database, platform, region, restoreOnly, run } from '../support/restoring.js';

const runsOf = (filter: Partial<UnitRunFilter> = {}, page: PageRequest = { limit: 50 }) =>
  walk(platform.region, unitRunsBy({ unit: `${region}-org-3`, ...filter }), page);

test('a unit’s runs, newest first, each with what became of the unit’s own changes', async () => {
  const bad = await run();
  // Another's change of one row: the restore leaves it alone.
  await database.owner.query(`update directory.account set organisation_id = $1 where id = $2`, [
    `${region}-org-1`,
    `${region}-acc-3-7`,
  ]);
  const { report } = await restoreOnly(bad.run.id);
  const { items, next } = await runsOf();
  expect(next).toBeNull();
  expect(items).toMatchObject([
    { runId: report?.run.id, restores: bad.run.id, planned: 20, applied: 19, conflicts: 1 },
    { runId: bad.run.id, restores: null, job: 'claims', region, planned: 20, applied: 20, conflicts: 0 },
  ]);
  expect((await runsOf({ unit: `${region}-org-99` })).items).toEqual([]);
  expect((await runsOf({ region: 'elsewhere' })).items).toEqual([]);
  expect((await runsOf({ job: 'others' })).items).toEqual([]);
});

test('they come page by page, and a run that comes in between repeats none', async () => {
  const tried = await run(undefined, undefined, region, true);
  const bad = await run();
  const one = await runsOf({}, { limit: 1 });
  expect(one.items).toMatchObject([{ runId: bad.run.id, dryRun: false, applied: 20 }]);
  await restoreOnly(bad.run.id);
  const two = await runsOf({}, { limit: 1, cursor: one.next ?? undefined });
  expect(two).toMatchObject({ items: [{ runId: tried.run.id, dryRun: true, planned: 20, applied: 0 }] });
  expect(two.next).toBeNull();
});

test('a million changes of others cost it nothing: the index leads from a unit to its runs', async () => {
  await run();
  const client = await database.owner.connect();
  try {
    // What the planner would do where the journal is large.
    await client.query('set enable_seqscan = off');
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(
      'explain select run from portcullis_region.change where unit = $1 order by run limit 1',
      [`${region}-org-3`],
    );
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('change_by_unit');
  } finally {
    client.release(true);
  }
});
