import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { acceptedRuns } from '../../src/guard/accepted-runs.js';
import { testDatabase } from '../support/database.js';

const { owner } = await testDatabase();
const SUBJECT = { job: 'sweep', region: 'eu-west-1', change: 'claim', of: 'changes' } as const;

async function insertRun(minute: number, facts: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const at = new Date(Date.UTC(2026, 0, 1, 0, minute));
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
  const at = new Date('2026-01-01T00:03:00Z');
  expect(runs[0]).toMatchObject({ at, due: at, count: 3, units: 50, accepted: false });
});

test('what a person accepted before the newest is remembered', async () => {
  const region = 'eu-central-1';
  const accepted = { region, status: 'held', accepted_at: new Date(), accepted_by: 'test' };
  for (const minute of [1, 2, 3, 4, 5]) await insertRun(minute, minute === 2 ? accepted : { region });
  const runs = await acceptedRuns(owner, { ...SUBJECT, region }, 2);
  expect(runs.map(({ count, accepted: by }) => [count, by])).toEqual([
    [2, true],
    [4, false],
    [5, false],
  ]);
});
