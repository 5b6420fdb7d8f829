import { expect, test } from '@jest/globals';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { databaseTime } from '../../src/postgres/database-clock.js';
import { databaseCli } from '../support/database-cli.js';
import { testDatabase } from '../support/database.js';
import { runAt } from './remote.js';
import { seedRun, serving } from './serving.js';

/** Which scheduled times should have run and did not, and why. */

const { owner } = await testDatabase();
const served = await serving(owner);
const { run: runHere } = await databaseCli(owner);
const { token } = served;

const HOUR_MS = 3_600_000;
const now = await databaseTime(owner);
/** The scheduled time so many full hours ago. */
const hoursAgo = (hours: number): string =>
  new Date(Math.floor(now.getTime() / HOUR_MS) * HOUR_MS - hours * HOUR_MS).toISOString();

const file = parsePolicyFile(`job: sweep\nschedule: '0 * * * *'\nregions: [r1, r2]\n`, 'sweep.yaml');
await applyPolicies(owner, [file], 'test');
await owner.query(`update portcullis_control.policy set applied_at = $1`, [hoursAgo(6)]);

async function ran(hours: number, status: string, version: string, trigger = 'schedule'): Promise<string> {
  const id = await seedRun(owner, { job: 'sweep', region: 'r1', status });
  await owner.query(
    `update portcullis_region.run set slot = $2, version = $3, trigger = $4, reason = $5, reason_code = $5 where id = $1`,
    [id, hoursAgo(hours), version, trigger, `${status}-code`],
  );
  return id;
}
const OLD = '1.0.0_00000001';
const NEW = '1.1.0_00000002';
await ran(2, 'succeeded', OLD);
const held = await ran(3, 'held', OLD);
// One version was held, and the other one ran.
await ran(4, 'held', OLD);
await ran(4, 'failed', NEW);
// It was caught up.
await ran(5, 'succeeded', OLD, 'catch-up');

interface Missed {
  readonly slot: string;
  readonly region: string;
  readonly runId: string | null;
  readonly code: string;
}
/** Of the hours that are over whenever the test runs. */
const older = (missed: readonly Missed[], region: string) =>
  missed
    .filter((each) => each.region === region && each.slot <= hoursAgo(2))
    .map(({ slot, runId, code }) => ({ slot, runId, code }));

test('are those at which no version ran since the policy was applied, with why', async () => {
  const { body } = await served.json(`/api/v1/runs/missed?job=sweep&since=${hoursAgo(20)}`);
  const items = body['items'] as Missed[];
  expect(older(items, 'r1')).toEqual([{ slot: hoursAgo(3), runId: held, code: 'held-code' }]);
  // Nothing of the hour in which the policy was applied, or before.
  const none = [5, 4, 3, 2].map((hours) => ({ slot: hoursAgo(hours), runId: null, code: 'no-run' }));
  expect(older(items, 'r2')).toEqual(none);
  const later = await served.json(`/api/v1/runs/missed?region=r2&since=${hoursAgo(3)}`);
  expect(older(later.body['items'] as Missed[], 'r2')).toEqual(none.slice(3));
});

test('are walked page by page', async () => {
  const first = await served.json(`/api/v1/runs/missed?region=r2&limit=2`);
  const cursor = String(first.body['next']);
  const second = await served.json(`/api/v1/runs/missed?region=r2&limit=2&cursor=${cursor}`);
  const both = [...(first.body['items'] as Missed[]), ...(second.body['items'] as Missed[])];
  expect(both.map(({ slot }) => slot)).toEqual([5, 4, 3, 2].map(hoursAgo));
});

test('are too many to look at where a schedule is as fine as that', async () => {
  const fine = parsePolicyFile(`job: fine\nschedule: '* * * * * *'\nregions: [r1]\n`, 'fine.yaml');
  await applyPolicies(owner, [fine], 'test');
  await owner.query(`update portcullis_control.policy set applied_at = $1`, [hoursAgo(6)]);
  const { status, body } = await served.json('/api/v1/runs/missed?job=fine');
  expect([status, body['code']]).toEqual([400, 'REQUEST_INVALID']);
});

test('are shown by the command line, here and through a server', async () => {
  const args = [
    'runs',
    '--missed',
    '--job',
    'sweep',
    '--region',
    'r1',
    '--since',
    hoursAgo(4),
    '--limit',
    '1',
  ];
  const here = await runHere({ token, columns: 80 }, ...args);
  expect([here.exit, here.out]).toEqual([0, expect.stringContaining(held.slice(0, 8))]);
  for (const line of here.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  const there = await runAt({ serverUrl: served.url, token }, [...args, '--json']);
  expect([there.exit, there.out]).toEqual([0, (await runHere({ token }, ...args, '--json')).out]);
  expect((await runHere({ token }, 'runs', '--since', hoursAgo(4))).exit).toBe(2);
});
