import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { acceptedRuns } from '../../src/guard/accepted-runs.js';
import { testDatabase } from '../support/database.js';

const { owner } = await testDatabase();
const SUBJECT = { job: 'sweep', region: 'eu-west-1', change: 'claim', of: 'changes' } as const;

async function insertRun(minute: number, facts: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const at = new Date(Date.UTC(2026, 0, 7, 0, minute));
  const row: Record<string, unknown> = {
    id: randomUUID(),
    job: 'sweep',
    version: '1.0.0_abcd',
    region: 'eu-west-1',
    slot: at,
    trigger: 'schedule',
    status: 'succeeded',
    reason_code: 'applied',
    reason: 'done',
    worker: 'w',
    lease_until: at,
    admitted_units: 50,
    planned: { claim: minute },
    created_at: at,
    ...facts,
  };
  const columns = Object.keys(row);
  await owner.query(
    `insert into portcullis_region.run (${columns.join(', ')})
     values (${columns.map((_, at) => `$${at + 1}`).join(', ')})`,
    Object.values(row),
  );
}

test('accepted runs are those that applied to their end, the newest, oldest first', async () => {
  for (const minute of [1, 2, 3, 4]) await insertRun(minute);
  await insertRun(5, { planned: { verify: 7 } });
  await insertRun(6, { status: 'held' });
  await insertRun(7, { status: 'stopped' });
  await insertRun(8, { dry_run: true });
  await insertRun(9, { admitted_units: 0 });
  await insertRun(10, { admitted_units: null });
  await insertRun(11, { region: 'us-east-1' });
  await insertRun(12, { job: 'other' });
  const runs = await acceptedRuns(owner, SUBJECT, 3);
  expect(runs.map(({ count }) => count)).toEqual([3, 4, 0]);
  const at = new Date('2026-01-07T00:03:00Z');
  expect(runs[0]).toMatchObject({ at, due: at, count: 3, units: 50, accepted: false });
});

test('of runs before the newest those of a month’s special days are kept, where these are in the time zone', async () => {
  const region = 'eu-central-1';
  const at = (day: number, hour: number): Date => new Date(Date.UTC(2026, 2, day, hour));
  // The first of March 2026 is a Sunday: the second is its first working day. The last two are the newest.
  const hours = [
    [1, 13],
    [1, 16],
    [2, 14],
    [2, 23],
    [3, 12],
    [20, 12],
    [20, 13],
  ] as const;
  for (const [day, hour] of hours)
    await insertRun(0, {
      region,
      created_at: at(day, hour),
      slot: at(day, hour),
      planned: { claim: day * 100 + hour },
    });
  const held = { region, created_at: at(2, 15), slot: at(2, 15), status: 'held' };
  await insertRun(0, held);
  const kept = async (timeZone?: string): Promise<number[]> =>
    (await acceptedRuns(owner, { ...SUBJECT, region, timeZone }, 2)).map(({ count }) => count);
  expect(await kept()).toEqual([113, 116, 214, 223, 2012, 2013]);
  // There a day begins at 15:00 UTC: by 23:00 the second of March is over.
  expect(await kept('Asia/Tokyo')).toEqual([113, 116, 214, 2012, 2013]);
});

test('nothing is kept for longer than 400 days', async () => {
  const region = 'us-west-2';
  const days = ['2024-10-01', '2024-12-01', '2025-12-20', '2025-12-21'];
  for (const [at, day] of days.entries())
    await insertRun(0, { region, created_at: new Date(day), slot: new Date(day), planned: { claim: at } });
  const runs = await acceptedRuns(owner, { ...SUBJECT, region }, 2);
  expect(runs.map(({ count }) => count)).toEqual([1, 2, 3]);
});
