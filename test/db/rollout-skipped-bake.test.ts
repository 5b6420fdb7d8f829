import { expect, test } from '@jest/globals';
import { listNotifications } from '../../src/notify/browse.js';
import { viewRollout } from '../../src/rollout/rollout-view.js';
import { promoteRollout } from '../../src/rollout/steer.js';
import { testDatabase } from '../support/database.js';
import { approveWave, bake, begunOn, bob } from '../support/rolling.js';

const database = await testDatabase();
const { owner } = database;

test('a bake that was skipped is shown as skipped: in the approval, the status, the end and the notice', async () => {
  const roll = await begunOn(database);
  const order = { job: roll.job, reason: 'a fix that cannot wait', now: roll.now() };
  await promoteRollout(owner, order, bob);
  await roll.look();
  await bake(roll);
  await roll.look();
  const { rows } = await owner.query<{ evidence: { regions: { skipped?: unknown }[] } }>(
    `select evidence from portcullis_control.rollout_approval where rollout = $1`,
    [(await roll.rollout()).id],
  );
  const skipped = [{ step: 0, by: 'bob', reason: 'a fix that cannot wait' }];
  expect(rows.map(({ evidence }) => evidence.regions[0]?.skipped)).toEqual([skipped]);
  await approveWave(owner, roll);
  for (let step = 0; step < 12 && (await roll.rollout()).status === 'running'; step += 1) await bake(roll);
  const [a = ''] = roll.regions;
  const { endReason } = await roll.rollout();
  expect(endReason).toContain(
    `not every bake passed: ${a}: bake of 10% skipped by bob: a fix that cannot wait`,
  );
  const told = await listNotifications(owner, {}, { limit: 1 });
  expect(told.items[0]?.lines).toEqual([endReason]);
  const view = await viewRollout({ ...roll.ports, unitsOf: () => Promise.resolve(100) }, roll.job);
  expect(view?.waves[0]?.regions[0]?.skipped).toEqual([
    { permille: 100, by: 'bob', reason: 'a fix that cannot wait' },
  ]);
});
