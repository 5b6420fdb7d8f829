import { beforeEach, expect, test } from '@jest/globals';
import type { CountOf } from '../../../src/flags/guard-policy.js';
import { acceptedRuns } from '../../../src/guard/accepted-runs.js';
import { acceptRun, rebaseline } from '../../../src/guard/baseline.js';
import { writeTrip } from '../../../src/containment/trip-row.js';
import { testDatabase } from '../../support/database.js';

const database = await testDatabase();
const { owner } = database;
const job = 'claims';
let region = '';
let regions = 0;
beforeEach(() => {
  regions += 1;
  region = `region-${regions}`;
});

/** A run that planned so many claims, for half as many organisations; nobody counted those of an `old` run. */
async function past(
  claims: number,
  status = 'succeeded',
  restores: string | null = null,
  age: 'new' | 'old' = 'new',
): Promise<string> {
  const { rows } = await owner.query<{ id: string }>(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, admitted_units,
        planned, planned_units, planned_at, restores)
     values (gen_random_uuid(), $1, 'v', $2, clock_timestamp(), 'manual', $3, 'x', 'x', 'w', now(), 10,
       jsonb_build_object('claim', $4::int, 'verify', 1),
       case $6 when 'new' then jsonb_build_object('claim', $4::int / 2, 'verify', 1) end, now(), $5)
     returning id`,
    [job, region, status, claims, restores, age],
  );
  return rows[0]?.id ?? '';
}

const baseline = async (change = 'claim', of: CountOf = 'changes') =>
  (await acceptedRuns(owner, { job, region, change, of }, 100)).map(({ count }) => count);

test('what was held, tripped or restored is part of the baseline only once it is accepted', async () => {
  await past(1);
  const held = await past(2, 'held');
  const tripped = await past(3, 'killed');
  const failed = [{ rule: 'r', reason: 'r: x', figures: {}, evidence: [] }] as const;
  await writeTrip(owner, {
    job,
    region,
    version: 'v',
    run: tripped,
    stage: 'apply',
    failed,
    restore: 'never',
    closing: { close: 'region', why: 'the test says so' },
  });
  const restored = await past(4);
  await past(0, 'succeeded', restored);
  expect(await baseline()).toEqual([1]);
  for (const runId of [held, tripped, restored]) {
    const accept = () => acceptRun(owner, owner, { runId, job, region }, { reason: 'a merger', by: 'ada' });
    await accept();
    await expect(accept()).rejects.toMatchObject({
      code: 'NOTHING_REACHED',
      message: `run ${runId.slice(0, 8)} was accepted already, by ada; nothing was changed`,
    });
  }
  expect(await baseline()).toEqual([1, 2, 3, 4]);
  const { rows } = await owner.query<{ n: number }>(
    `select count(*) as n from portcullis_control.audit where action = 'accept-run' and principal = 'ada'`,
  );
  expect(rows).toEqual([{ n: 3 }]);
});

test('a run is part of the baseline of units only where they were counted', async () => {
  for (const claims of [4, 6]) await past(claims, 'succeeded', null, 'old');
  expect([await baseline(), await baseline('claim', 'units')]).toEqual([[4, 6], []]);
  await past(8);
  const held = await past(10, 'held');
  expect([await baseline(), await baseline('claim', 'units')]).toEqual([[4, 6, 8], [4]]);
  expect(await baseline('lapse', 'units')).toEqual([0]);
  await acceptRun(owner, owner, { runId: held, job, region }, { reason: 'a merger', by: 'ada' });
  expect(await baseline('claim', 'units')).toEqual([4, 5]);
  await rebaseline(owner, owner, { job, region, kind: 'claim', reason: 'twice the customers', by: 'ada' });
  expect([await baseline('claim', 'units'), await baseline('verify', 'units')]).toEqual([[], [1, 1]]);
});

test('a restore is no part of the baseline', async () => {
  const runId = await past(0, 'succeeded', await past(1));
  await expect(
    acceptRun(owner, owner, { runId, job, region }, { reason: 'x', by: 'ada' }),
  ).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
});

test('a level that has shifted is learnt again, for one kind or for all; where nothing was learnt, that is said', async () => {
  const again = (kind?: string) =>
    rebaseline(owner, owner, { job, region, kind, reason: 'twice the customers', by: 'ada' });
  await expect(again()).rejects.toMatchObject({ code: 'NOTHING_REACHED' });
  await past(1);
  await rebaseline(owner, owner, { job, region, kind: 'claim', reason: 'twice the customers', by: 'ada' });
  expect([await baseline(), await baseline('verify')]).toEqual([[], [1]]);
  await expect(again('claim')).rejects.toMatchObject({ code: 'NOTHING_REACHED' });
  await past(2);
  expect(await baseline()).toEqual([2]);
  await rebaseline(owner, owner, { job, region, reason: 'moved', by: 'ada' });
  expect([await baseline(), await baseline('verify')]).toEqual([[], []]);
});
