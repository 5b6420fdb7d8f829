import { expect, test } from '@jest/globals';
import { decideApproval, listApprovals } from '../../src/access/approvals.js';
import { listAudit } from '../../src/audit/browse-audit.js';
import { Voice } from '../../src/cli/context.js';
import { displayWidth } from '../../src/cli/display-width.js';
import { incidentText } from '../../src/cli/incident-text.js';
import { rolloutText } from '../../src/cli/rollout-text.js';
import { examineIncident } from '../../src/incidents/assess-incident.js';
import { killWithIncident } from '../../src/containment/kill-incident.js';
import { postMortemOf } from '../../src/incidents/post-mortem.js';
import { timelineOf } from '../../src/incidents/timeline.js';
import { listNotifications } from '../../src/notify/browse.js';
import { measuresOf } from '../../src/rollout/measures.js';
import { rolloutEvents } from '../../src/rollout/rollout-store.js';
import { type RolloutView, viewRollout } from '../../src/rollout/rollout-view.js';
import { askToSkip, decideSkip } from '../../src/rollout/skip-bake.js';
import { decideWave } from '../../src/rollout/wave-approval.js';
import { testDatabase } from '../support/database.js';
import { ann, approveWave, bake, begunOn, bob, type Rolling, skipBake } from '../support/rolling.js';
import { FakeTerminal } from '../unit/cli/fake-terminal.js';

const database = await testDatabase();
const { owner } = database;
const WHY = 'a fix that cannot wait';
const SKIPPED = { by: 'ann', approvedBy: 'bob', reason: WHY };

const order = (roll: Rolling, reason = WHY) => ({ job: roll.job, reason, now: roll.now() });

async function view(roll: Rolling): Promise<RolloutView> {
  const found = await viewRollout({ ...roll.ports, unitsOf: () => Promise.resolve(100) }, roll.job);
  return found ?? Promise.reject(new Error('there is no rollout'));
}

/** As a person sees it, in 80 columns. */
async function shown(roll: Rolling): Promise<string> {
  const text = rolloutText(new Voice(new FakeTerminal({ columns: 80 }), false), await view(roll));
  for (const line of text.split('\n')) expect([line, displayWidth(line) <= 80]).toEqual([line, true]);
  return text.replace(/\s+/g, ' ');
}

const logins = (roll: Rolling, region: string, verdict: 'pass' | 'too-few') =>
  roll.verdicts.set(region, [
    { rule: 'logins', verdict, reason: `logins: ${verdict}`, judgedAt: new Date('2027-01-01') },
  ]);

test('to skip a bake is asked for with a permission of its own, and takes another person', async () => {
  const roll = await begunOn(database);
  const ask = (as: typeof ann) => askToSkip(roll.ports, order(roll), as);
  await expect(ask(bob)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const asked = await ask(ann);
  expect(asked).toMatchObject({
    action: 'skip-bake',
    subject: `${roll.job} ${roll.candidate.version}: bake of 10% in ${roll.regions[0] ?? ''}`,
    region: roll.regions[0],
  });
  // Until then it bakes.
  expect((await roll.look()).decision.action).toBe('wait');
  expect(await shown(roll)).toContain(`portcullis approve ${asked.id}`);
  const told = await listNotifications(owner, {}, { limit: 1 });
  expect(told.items[0]?.title).toContain('ann asks to skip the bake of 10%');
  await expect(decideSkip(owner, asked.id, { ...ann, role: 'admin' }, 'approve')).rejects.toMatchObject({
    code: 'APPROVAL_SELF',
  });
  await expect(ask(ann)).rejects.toMatchObject({ code: 'ROLLOUT_STATE' });
  await decideSkip(owner, asked.id, bob, 'reject');
  expect((await roll.look()).decision.action).toBe('wait');
  await skipBake(roll, WHY);
  await expect(ask(ann)).rejects.toMatchObject({ code: 'ROLLOUT_STATE' });
  const { decision } = await roll.look();
  expect(decision).toMatchObject({ moves: [{ to: 1, skips: { step: 0, ...SKIPPED } }] });
  // Of that step alone.
  expect((await roll.look()).decision.action).toBe('wait');
});

test('that nobody checked is plain in status, approval, audit, incident, metric, notice and end', async () => {
  const roll = await begunOn(database);
  const [a = ''] = roll.regions;
  const { version } = roll.candidate;
  await skipBake(roll, WHY);
  await roll.look();
  await bake(roll);
  const looked = await roll.look();
  expect(measuresOf(looked, roll.now()).skippedBakes).toContainEqual({ region: a, bakes: 1 });
  expect(await shown(roll)).toContain(
    `not checked bake of 10% in ${a}: skipped by ann, approved by bob: ${WHY}`,
  );
  const pending = await listApprovals(owner, { state: 'pending' }, { limit: 5 });
  const wave = pending.items.find(
    ({ action, subject }) => action === 'begin-wave' && subject.startsWith(`${roll.job} `),
  );
  expect(wave?.reason).toContain(`not checked: the bake of 10% in ${a}, skipped by ann, approved by bob`);
  expect(wave?.evidence).toMatchObject({
    evidence: { regions: [{ skipped: [{ step: 0, ...SKIPPED }] }] },
  });
  const waits = (await listNotifications(owner, {}, { limit: 1 })).items[0];
  expect(waits?.lines).toContain(`Not checked: the bake of 10% in ${a}, skipped by ann, approved by bob.`);
  const [audited] = (await listAudit(owner, { action: 'rollout-skip-bake' }, { limit: 1 })).items;
  expect(audited).toMatchObject({
    principal: 'bob',
    subject: `${roll.job} ${version}`,
    evidence: {
      requestedBy: 'ann',
      reason: `bake of 10% in ${a} skipped, not checked: asked for by ann: ${WHY}`,
    },
  });

  const { incident } = await killWithIncident(
    owner,
    () => owner,
    { job: roll.job, regions: [a], version, reason: 'claims too much', drill: true },
    ann,
  );
  const seen = await examineIncident(owner, () => owner, incident ?? '');
  const moments = await timelineOf(owner, seen);
  expect(seen.unchecked).toEqual([{ region: a, permille: 100, ...SKIPPED }]);
  const says = `the bake of 10% in ${a} was skipped by ann, approved by bob: ${WHY}`;
  const terminal = new FakeTerminal({ columns: 80 });
  const text = incidentText(new Voice(terminal, false), seen, moments);
  for (const line of text.split('\n')) expect([line, displayWidth(line) <= 80]).toEqual([line, true]);
  expect(text.replace(/\s+/g, ' ')).toContain(`not checked ${says}`);
  expect(moments.map(({ kind }) => kind)).toContain('rollout-skip-bake');
  const draft = postMortemOf(seen, moments);
  expect(draft).toContain(`**Nobody checked 1 step of its rollout**: ${says}.`);
  expect(draft).toContain(`| not checked | ${says} |`);
});

test('a rollout that ends with a bake skipped says that not every step was checked', async () => {
  const roll = await begunOn(database);
  const [a = ''] = roll.regions;
  await skipBake(roll, WHY);
  await roll.look();
  await bake(roll);
  await roll.look();
  await approveWave(owner, roll);
  for (let step = 0; step < 12 && (await roll.rollout()).status === 'running'; step += 1) await bake(roll);
  const { endReason } = await roll.rollout();
  expect(endReason).toContain(
    `not every step was checked: ${a}: bake of 10% skipped by ann, approved by bob: ${WHY}`,
  );
  const told = await listNotifications(owner, {}, { limit: 1 });
  expect(told.items[0]?.lines).toEqual([endReason]);
  expect((await view(roll)).waves[0]?.regions[0]?.skipped).toEqual([{ permille: 100, ...SKIPPED }]);
  const text = await shown(roll);
  expect(text).toContain(`not checked bake of 10% in ${a}: skipped by ann, approved by bob: ${WHY}`);
  expect(text).toContain('2 of 2 – – – 10% not checked');
});

test('a skip lapses where the evidence became worse after it was asked for or approved, and must be requested again', async () => {
  const roll = await begunOn(database);
  const [a = ''] = roll.regions;
  logins(roll, a, 'pass');
  const asked = await askToSkip(roll.ports, order(roll), ann);
  logins(roll, a, 'too-few');
  await roll.look();
  const worse = `${a} has logins too-few, which was pass (then: 10%, 0 runs, 0 changes, logins pass; now: 10%, 0 runs, 0 changes, logins too-few)`;
  await expect(decideSkip(owner, asked.id, bob, 'approve')).rejects.toMatchObject({
    code: 'ROLLOUT_STATE',
    message: `${asked.id} does not count any more: ${worse}`,
  });
  logins(roll, a, 'pass');
  await skipBake(roll, WHY);
  logins(roll, a, 'too-few');
  expect((await roll.look()).decision.action).toBe('wait');
  expect((await roll.rollout()).parts[0]).toMatchObject({ step: 0, skipped: [] });
  expect(await shown(roll)).toContain('must be requested again');
  const [lapsed] = await rolloutEvents(owner, (await roll.rollout()).id, 1);
  expect(lapsed).toMatchObject({
    action: 'lapse',
    by: 'system:rollout',
    reason: `the approval of skipping the bake of 10% in ${a} by bob no longer counts: ${worse}`,
  });
  // On what is so now, it can be asked for again.
  await skipBake(roll, WHY);
  expect((await roll.look()).decision.action).toBe('advance');
});

test('a skip is of the bake that it was asked for: not of one that began again, nor of a later one', async () => {
  const roll = await begunOn(database);
  const [a = ''] = roll.regions;
  await skipBake(roll, WHY);
  await roll.set(a, { enabled: false });
  await roll.set(a, { enabled: true });
  roll.pass(1);
  expect((await roll.look()).decision.action).toBe('wait');
  expect((await rolloutEvents(owner, (await roll.rollout()).id, 1))[0]?.reason).toContain(
    'the bake began again',
  );
  const asked = await askToSkip(roll.ports, order(roll), ann);
  await bake(roll);
  expect((await roll.rollout()).parts[0]?.step).toBe(1);
  await expect(decideSkip(owner, asked.id, bob, 'approve')).rejects.toMatchObject({ code: 'ROLLOUT_STATE' });
  // What is asked for is what is decided: nothing else is carried out under its id.
  await expect(decideApproval(owner, asked.id, ann, 'reject', () => Promise.resolve())).rejects.toMatchObject(
    {
      code: 'FORBIDDEN',
    },
  );
});

test('a wave whose reach grew is requested again, with what was approved and what is so now', async () => {
  const roll = await begunOn(database);
  let units = 100;
  Object.assign(roll.ports, { unitsOf: () => Promise.resolve(units) });
  await bake(roll);
  await bake(roll);
  await roll.look();
  await roll.look();
  await approveWave(owner, roll);
  units = 130;
  expect((await roll.look()).decision).toMatchObject({ action: 'hold', approvalOf: 'rest' });
  const [b = '', c = ''] = roll.regions.slice(1);
  const because = `it would reach more (then: 50% of ${b}, 50% of ${c}, about 100 units; now: 50% of ${b}, 50% of ${c}, about 130 units)`;
  expect((await view(roll)).waves[1]?.approval).toMatchObject({ state: 'pending', againBecause: because });
  expect(await shown(roll)).toContain('so it must be approved again: it would reach more');
  const told = await listNotifications(owner, {}, { limit: 1 });
  expect(told.items[0]?.lines.join('\n')).toContain(because);
  units = 140;
  const { items } = await listApprovals(owner, { state: 'pending' }, { limit: 5 });
  const again = items.find(({ subject }) => subject.startsWith(`${roll.job} `));
  await decideWave(owner, again?.id ?? '', bob, 'approve');
  // Not a quarter more than what was approved.
  expect((await roll.look()).decision.action).toBe('advance');
});
