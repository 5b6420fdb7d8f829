import { expect, test } from '@jest/globals';
import { Voice } from '../../src/cli/context.js';
import { displayWidth } from '../../src/cli/display-width.js';
import { rolloutText } from '../../src/cli/rollout-text.js';
import { announceVersions } from '../../src/rollout/announce.js';
import { viewRollout, type RolloutView } from '../../src/rollout/rollout-view.js';
import { testDatabase } from '../support/database.js';
import { begunOn, rolling, type Rolling } from '../support/rolling.js';
import { FakeTerminal } from '../unit/cli/fake-terminal.js';

const database = await testDatabase();
const { owner } = database;

async function view(roll: Rolling, flagsAt?: string): Promise<RolloutView> {
  const sources = { ...roll.ports, flagsAt, unitsOf: () => Promise.resolve(100) };
  const found = await viewRollout(sources, roll.job);
  return found ?? Promise.reject(new Error('there is no rollout'));
}

const announce = ({ job, candidate, policy }: Rolling): Promise<void> =>
  announceVersions(owner, `w-${job}`, [{ job, version: candidate.version, regions: policy.regions }]);

test('a step that lacks changes or a worker says so, and gives no date that slides', async () => {
  const roll = await begunOn(database);
  const [canary = ''] = roll.regions;
  await roll.leave();
  const before = await view(roll);
  expect(before.next?.earliest).toBeNull();
  expect(before.next?.blockers).toEqual(
    expect.arrayContaining([
      `${canary}: no worker serves ${roll.candidate.version}`,
      `${canary}: 0 of 10 changes`,
    ]),
  );
  await announce(roll);
  const served = await view(roll);
  expect(served.next?.blockers.join()).not.toContain('no worker');
  expect(served.next?.earliest).toBeNull();
  const text = rolloutText(new Voice(new FakeTerminal({ columns: 80 }), false), served);
  expect(text).toContain('0 of 10 changes');
  expect(text).not.toMatch(/^earliest/m);
  for (const line of text.split('\n')) expect([line, displayWidth(line) <= 80]).toEqual([line, true]);
});

test('no step is taken that no live worker can serve, and the status says why', async () => {
  const roll = await rolling(
    database,
    `
rollout:
  waves:
    - { name: canary, regions: [R-a], steps: [10%, 50%, 100%], bake: { runs: 1, changes: 1, time: 1m } }
    - { name: rest, regions: [R-b, R-c], steps: [100%], bake: { runs: 1, changes: 1, time: 1m } }
`,
  );
  const [region = ''] = roll.policy.regions;
  await roll.set(region, { enabled: true, variants: [{ version: roll.stable.version, permille: 1000 }] });
  const unserved = `${region}: no worker serves ${roll.candidate.version}`;
  await roll.leave();
  await roll.start();
  expect((await roll.look()).decision).toMatchObject({ action: 'hold', reason: unserved });
  expect((await view(roll)).next).toMatchObject({ action: 'hold', blockers: [unserved], earliest: null });
  roll.comeBack();
  expect((await roll.look()).decision.action).toBe('advance');
  // Its bake is full, and then its workers are gone.
  await roll.slot();
  roll.pass(1);
  await roll.leave();
  expect((await roll.look()).decision).toMatchObject({ action: 'hold', reason: unserved });
  expect((await view(roll)).next?.blockers).toContain(unserved);
  expect((await roll.rollout()).parts[0]?.step).toBe(0);
  roll.comeBack();
  expect((await roll.look()).decision.action).toBe('advance');
});

test('a step that only waits for time has a date, which stays', async () => {
  const roll = await begunOn(database);
  await announce(roll);
  await roll.slot();
  await roll.slot();
  // The view goes by the database's clock, and the rollout by the test's.
  await owner.query(
    'update portcullis_control.rollout_part set since = clock_timestamp() where since is not null',
  );
  const first = await view(roll);
  expect(first.next?.blockers).toHaveLength(1);
  expect(first.next?.blockers[0]).toMatch(/ of 10 min$/);
  expect(first.next?.earliest).not.toBeNull();
  expect((await view(roll)).next?.earliest).toBe(first.next?.earliest);
});

test('outside its window it names the window and when that opens', async () => {
  const roll = await rolling(
    database,
    `
rollout:
  windows: [{ only: 'Sun 03:00–04:00 UTC' }]
  waves:
    - { name: canary, regions: [R-a], steps: [100%], bake: { runs: 1, changes: 1, time: 1m } }
    - { name: rest, regions: [R-b, R-c], steps: [100%], bake: { runs: 1, changes: 1, time: 1m } }
`,
  );
  for (const region of roll.policy.regions)
    await roll.set(region, { enabled: true, variants: [{ version: roll.stable.version, permille: 1000 }] });
  await roll.start();
  await roll.look();
  const { next } = await view(roll);
  expect(next).toMatchObject({ action: 'wait', blockers: [expect.stringContaining('promotions only')] });
  expect(next?.earliest).toMatch(/T03:00:00\.000Z$/);
});

test('with flags of an Unleash server it is held, and says why', async () => {
  const roll = await begunOn(database);
  expect((await view(roll, 'http://unleash.example/api')).next).toMatchObject({
    action: 'hold',
    earliest: null,
    blockers: [expect.stringContaining('http://unleash.example/api')],
  });
});
