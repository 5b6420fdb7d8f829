import { afterEach, describe, expect, test } from '@jest/globals';
import { listApprovals } from '../../src/access/approvals.js';
import { verifyAudit } from '../../src/audit/verify.js';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { listNotifications } from '../../src/notify/browse.js';
import { advanceRollout } from '../../src/rollout/advance.js';
import { rolloutEvents } from '../../src/rollout/rollout-store.js';
import { abortRollout, pauseRollout, resumeRollout } from '../../src/rollout/steer.js';
import { askToSkip } from '../../src/rollout/skip-bake.js';
import { versionStanding } from '../../src/rollout/version-standing.js';
import { decideWave, waveApprovals } from '../../src/rollout/wave-approval.js';
import { testDatabase } from '../support/database.js';
import {
  ann,
  approveWave,
  bake,
  begunOn,
  bob,
  rolling,
  shares,
  skipBake,
  WAVES,
  type Rolling,
} from '../support/rolling.js';

const database = await testDatabase();
const owner = database.owner;

afterEach(() => onFaultPoint(undefined));

const begun = () => begunOn(database);
const approve = (roll: Rolling) => approveWave(owner, roll);
/** What people were told of a rollout, newest first. */
const told = async (roll: Rolling) =>
  (await listNotifications(owner, {}, { limit: 50 })).items.filter(
    ({ kind, job }) => kind === 'rollout' && job === roll.job,
  );

describe('a rollout', () => {
  test('goes through its waves on evidence, and no organisation ever gets both versions in a slot', async () => {
    const roll = await begun();
    expect(await shares(roll)).toEqual({ a: '1.1.0 100, 1.0.0 900', b: '1.0.0 1000', c: '1.0.0 1000' });
    expect(await bake(roll)).toMatch(/^wave canary: r\d+-a from 10% to 100%$/);
    expect(await shares(roll)).toMatchObject({ a: '1.1.0 1000', b: '1.0.0 1000' });
    expect(await bake(roll)).toMatch(/is done$/);
    expect((await roll.look()).decision).toMatchObject({ action: 'hold', approvalOf: 'rest' });
    expect(await shares(roll)).toMatchObject({ b: '1.0.0 1000' });
    await approve(roll);
    expect((await roll.look()).decision.reason).toMatch(/wave rest: .*from 0% to 50%.*from 0% to 50%/);
    expect(await shares(roll)).toMatchObject({ b: '1.1.0 500, 1.0.0 500', c: '1.1.0 500, 1.0.0 500' });
    expect(await bake(roll)).toMatch(/from 50% to 100%/);
    expect(await bake(roll)).toMatch(/is done/);
    expect((await roll.look()).decision).toMatchObject({ action: 'advance', moves: [] });
    expect(await shares(roll)).toEqual({ a: '1.1.0 1000', b: '1.1.0 1000', c: '1.1.0 1000' });
    expect(await roll.rollout()).toMatchObject({ status: 'completed', endedBy: 'system:rollout' });
    const [over, waits, ...more] = await told(roll);
    expect(more).toEqual([]);
    expect(over?.title).toBe(
      `the rollout of ${roll.job} ${(await roll.rollout()).version} is complete: it has every region`,
    );
    expect(waits?.title).toMatch(/waits for a second person before wave rest$/);
    const [request] = (await waveApprovals(owner, (await roll.rollout()).id)).map((each) => each.request);
    expect(waits?.lines).toContain(`To agree: portcullis approve ${request ?? ''}`);
    await roll.slot();
    const { runs, units } = await roll.checkJournal();
    expect(runs).toBeGreaterThan(20);
    // Every organisation in every slot, except those that changed hands between two runs of one slot.
    expect(units).toBeGreaterThan(1500);
    expect((await verifyAudit(owner)).ok).toBe(true);
  });

  test('gives a slot’s organisations to one version, even where its share grows in the middle of the slot', async () => {
    const roll = await begun();
    await roll.slot();
    const [region = ''] = roll.regions;
    // The candidate's run of a slot comes after a step that was taken behind the stable version's run of that slot.
    await skipBake(roll, 'test');
    let moved = false;
    onFaultPoint(async (point) => {
      if (point !== 'run.finished' || moved) return;
      moved = true;
      await roll.look();
      await roll.release();
    });
    await roll.slot();
    expect(moved).toBe(true);
    expect((await roll.flags()).get(region)?.variants).toEqual([
      { version: roll.candidate.version, permille: 1000 },
    ]);
    await roll.checkJournal();
  });

  test('says of a version that it is new, on its way, or taken back', async () => {
    const roll = await rolling(database, WAVES);
    const said = (region: string) => versionStanding(owner, roll.job, roll.candidate.version, region);
    const [a = '', b = ''] = roll.policy.regions;
    expect(await said(a)).toBe('rollout not started');
    await roll.set(a, { enabled: true, variants: [] });
    await roll.start();
    expect(await said(b)).toBe('its rollout has not come here yet');
    await abortRollout(owner, { job: roll.job, reason: 'enough' }, ann);
    expect(await said(a)).toBe('its rollout was aborted: enough');
  });

  test('is refused while one is under way, for a version that has a share, and without waves', async () => {
    const roll = await begun();
    await expect(roll.start()).rejects.toMatchObject({ code: 'ROLLOUT_ACTIVE' });
    await abortRollout(owner, { job: roll.job, reason: 'enough' }, ann);
    await roll.set(roll.regions[1] ?? '', { variants: [{ version: roll.candidate.version, permille: 1 }] });
    await expect(roll.start()).rejects.toMatchObject({ code: 'ROLLOUT_REFUSED' });
    const bare = await rolling(database, '');
    await expect(bare.start()).rejects.toMatchObject({ code: 'ROLLOUT_UNPLANNED' });
  });

  test('is looked at by one of many, and moved once', async () => {
    const roll = await begun();
    await roll.slot();
    await roll.slot();
    for (let minute = 0; minute < 10; minute += 1) {
      roll.pass(1);
      if (minute < 9) await roll.look();
    }
    const { id } = await roll.rollout();
    await Promise.all(Array.from({ length: 6 }, () => advanceRollout(roll.ports, id)));
    const events = await rolloutEvents(owner, id, 10);
    expect(events.map(({ action }) => action)).toEqual(['advance', 'advance', 'start']);
    expect((await roll.rollout()).parts.map(({ step }) => step)).toEqual([1, -1, -1]);
  });

  test('that nobody watched for a day moves by one step, and only after fresh evidence', async () => {
    const roll = await begun();
    for (let slot = 0; slot < 4; slot += 1) await roll.slot();
    roll.pass(24 * 60);
    expect((await roll.look()).decision).toMatchObject({ action: 'wait' });
    expect((await roll.look()).decision.reason).toContain('waiting for one more run');
    await roll.slot();
    expect((await roll.look()).decision.reason).toContain('from 10% to 100%');
    expect((await roll.look()).decision.action).toBe('wait');
  });

  test('keeps the policy that it started with', async () => {
    const roll = await begun();
    const changed = WAVES.replaceAll('R-', roll.regions[0]?.replace(/a$/, '') ?? '').replace(
      '[10%, 100%]',
      '[100%]',
    );
    const text = `job: ${roll.job}\nschedule: '*/5 * * * *'\nregions: [${roll.regions.join(', ')}]\n${changed}`;
    await applyPolicies(owner, [parsePolicyFile(text, 'test.yaml')], 'test');
    expect(await bake(roll)).toMatch(/from 10% to 100%/);
  });
});

describe('a candidate at fault', () => {
  test('is stopped where it began, taken back everywhere, and the stable version goes on', async () => {
    const roll = await begun();
    await roll.slot();
    const [a = '', b = '', c = ''] = roll.regions;
    roll.verdicts.set(a, [
      { rule: 'logins', verdict: 'fail', reason: 'logins: 9 of 10 fail', judgedAt: roll.now() },
    ]);
    expect((await roll.look()).decision).toMatchObject({
      action: 'abort',
      region: a,
      failed: { rule: 'logins' },
    });
    expect(await shares(roll)).toEqual({ a: '1.0.0 1000', b: '1.0.0 1000', c: '1.0.0 1000' });
    expect(await roll.rollout()).toMatchObject({
      status: 'aborted',
      endReason: `${a}: logins: 9 of 10 fail`,
    });
    expect(await told(roll)).toMatchObject([
      {
        title: `the rollout of ${roll.job} ${(await roll.rollout()).version} was aborted by system:rollout, and the version rolled back to zero everywhere`,
        lines: [`${a}: logins: 9 of 10 fail`],
      },
    ]);
    const reports = await roll.slot();
    const ended = (region: string, { version }: { version: string }) =>
      reports.find(({ run }) => run.region === region && run.version === version);
    expect(ended(a, roll.candidate)).toMatchObject({ status: 'held', code: 'version-quarantined' });
    expect(ended(a, roll.stable)).toMatchObject({ status: 'succeeded', applied: { claim: 200 } });
    expect(ended(b, roll.candidate)).toMatchObject({ status: 'held' });
    expect(ended(b, roll.stable)).toMatchObject({ status: 'succeeded', applied: { claim: 200 } });
    expect(ended(c, roll.stable)).toMatchObject({ status: 'succeeded', applied: { claim: 200 } });
    const { rows } = await owner.query(
      `select from portcullis_region.change join portcullis_region.run r on r.id = run
       where r.job = $1 and r.version = $2 and r.region <> $3`,
      [roll.job, roll.candidate.version, a],
    );
    expect(rows).toEqual([]);
    await expect(
      owner.query('select from portcullis_region.quarantine where job = $1 and version = $2', [
        roll.job,
        roll.candidate.version,
      ]),
    ).resolves.toMatchObject({ rowCount: 1 });
    await roll.checkJournal();
  });

  test.each(['running', 'paused'] as const)('is taken back while its rollout is %s', async (status) => {
    const roll = await begun();
    if (status === 'paused') await pauseRollout(owner, { job: roll.job, reason: 'lunch' }, ann);
    await owner.query(
      `insert into portcullis_region.quarantine (job, version, reason, set_by) values ($1, $2, 'it lies', 'eve')`,
      [roll.job, roll.candidate.version],
    );
    expect((await roll.look()).decision).toMatchObject({
      action: 'abort',
      reason: expect.stringContaining('it lies') as unknown,
    });
    expect(await roll.rollout()).toMatchObject({ status: 'aborted' });
    expect(await shares(roll)).toMatchObject({ a: '1.0.0 1000' });
  });
});

describe('a flag turned by hand', () => {
  test('off before the rollout holds its region, and is never turned on by it', async () => {
    const roll = await rolling(database, WAVES);
    const [a = ''] = roll.policy.regions;
    await roll.start();
    expect((await roll.look()).decision).toMatchObject({
      action: 'hold',
      reason: expect.stringContaining('is off') as unknown,
    });
    expect((await roll.flags()).get(a)).toMatchObject({ enabled: false, variants: [] });
    await roll.set(a, { enabled: true });
    expect((await roll.look()).decision.action).toBe('advance');
  });

  test('off while it bakes holds; on again, the bake begins anew', async () => {
    const roll = await begun();
    const [a = ''] = roll.regions;
    await roll.slot();
    await roll.slot();
    for (let minute = 0; minute < 9; minute += 1) {
      roll.pass(1);
      await roll.look();
    }
    await roll.set(a, { enabled: false });
    roll.pass(1);
    expect((await roll.look()).decision).toMatchObject({ action: 'hold' });
    expect((await roll.flags()).get(a)?.enabled).toBe(false);
    await roll.set(a, { enabled: true });
    expect((await roll.look()).decision).toMatchObject({
      action: 'wait',
      reason: expect.stringContaining('0 of 2 runs, 0 of 10 changes, 0 of 10 minutes') as unknown,
    });
    expect(await bake(roll)).toMatch(/from 10% to 100%/);
  });

  test('to other shares holds until somebody resumes, which sets the step’s shares again', async () => {
    const roll = await begun();
    const [a = ''] = roll.regions;
    await roll.set(a, { variants: [{ version: roll.candidate.version, permille: 300 }] });
    expect((await roll.look()).decision).toMatchObject({
      action: 'hold',
      reason: expect.stringContaining('eve changed its shares: by hand') as unknown,
    });
    await resumeRollout(owner, { job: roll.job, reason: 'go on', now: roll.now() }, ann);
    expect(await shares(roll)).toMatchObject({ a: '1.1.0 100, 1.0.0 900' });
    expect((await roll.look()).decision.action).toBe('wait');
  });

  test('off in a region of a wave holds that region alone, and the wave does not end', async () => {
    const roll = await begun();
    const [, b = '', c = ''] = roll.regions;
    await bake(roll);
    await bake(roll);
    await roll.look();
    await roll.set(b, { enabled: false });
    await approve(roll);
    expect((await roll.look()).decision).toMatchObject({ moves: [{ region: c, to: 0 }] });
    expect(await bake(roll)).toMatch(/c from 50% to 100%/);
    expect(await bake(roll)).toMatch(/c is done/);
    expect((await roll.look()).decision).toMatchObject({
      action: 'hold',
      reason: expect.stringContaining(`${b}: `) as unknown,
    });
    expect(await shares(roll)).toMatchObject({ b: 'off 1.0.0 1000', c: '1.1.0 1000' });
  });

  test('off when the rollout is aborted stays off, and what was taken from others stays taken', async () => {
    const roll = await begun();
    const [a = ''] = roll.regions;
    await roll.set(a, { enabled: false, variants: [{ version: roll.candidate.version, permille: 50 }] });
    await abortRollout(owner, { job: roll.job, reason: 'enough' }, ann);
    expect(await shares(roll)).toEqual({ a: 'off ', b: '1.0.0 1000', c: '1.0.0 1000' });
  });

  test('on in a region that is done is left to whoever turned it', async () => {
    const roll = await begun();
    const [a = ''] = roll.regions;
    await bake(roll);
    await bake(roll);
    await roll.set(a, { variants: [{ version: roll.stable.version, permille: 1000 }] });
    await roll.look();
    await roll.look();
    expect(await shares(roll)).toMatchObject({ a: '1.0.0 1000' });
  });
});

describe('people', () => {
  test('pause, resume and skip a bake, which takes a second person', async () => {
    const roll = await begun();
    const order = { job: roll.job, reason: 'because', now: roll.now() };
    await pauseRollout(owner, order, ann);
    await expect(pauseRollout(owner, order, ann)).rejects.toMatchObject({ code: 'ROLLOUT_STATE' });
    expect((await roll.look()).decision).toMatchObject({ action: 'hold' });
    await resumeRollout(owner, order, ann);
    await expect(resumeRollout(owner, order, ann)).rejects.toMatchObject({ code: 'ROLLOUT_STATE' });
    await skipBake(roll, 'because');
    await expect(askToSkip(roll.ports, order, ann)).rejects.toMatchObject({ code: 'ROLLOUT_STATE' });
    expect((await roll.look()).decision.reason).toContain(
      'from 10% to 100% without the bake of 10%, skipped by ann, approved by bob',
    );
    // Of one step only.
    expect((await roll.look()).decision.action).toBe('wait');
    const { id, parts } = await roll.rollout();
    expect(parts[0]?.skipped).toEqual([{ step: 0, by: 'ann', approvedBy: 'bob', reason: 'because' }]);
    const events = await rolloutEvents(owner, id, 20);
    expect(events.map(({ action, by }) => `${action} by ${by}`)).toEqual([
      'advance by system:rollout',
      'skip-bake by bob',
      'resume by ann',
      'pause by ann',
      'advance by system:rollout',
      'start by ann',
    ]);
  });

  /** A rollout that waits for a second person, what its bake rule says, and the requests that are open. */
  const waiting = async () => {
    const roll = await begun();
    const [a = ''] = roll.regions;
    const says = (verdict: 'pass' | 'too-few') =>
      roll.verdicts.set(a, [
        { rule: 'logins', verdict, reason: `logins: ${verdict}`, judgedAt: new Date('2027-01-01') },
      ]);
    says('pass');
    await bake(roll);
    await bake(roll);
    await roll.look();
    await roll.look();
    const pending = async () =>
      (await listApprovals(owner, { state: 'pending' }, { limit: 50 })).items.filter(({ subject }) =>
        subject.startsWith(`${roll.job} `),
      );
    return { roll, says, pending };
  };

  test('approve a wave on what they saw: if that becomes worse, they are asked anew', async () => {
    const { roll, says, pending } = await waiting();
    const [first, ...others] = await pending();
    expect(others).toEqual([]);
    expect(first).toMatchObject({ action: 'begin-wave', requestedBy: 'ann', region: null });
    await expect(
      decideWave(owner, first?.id ?? '', { ...ann, role: 'admin' }, 'approve'),
    ).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
    await decideWave(owner, first?.id ?? '', bob, 'approve');
    says('too-few');
    expect((await roll.look()).decision).toMatchObject({ action: 'hold', approvalOf: 'rest' });
    const [second] = await pending();
    expect(second?.id).not.toBe(first?.id);
    await decideWave(owner, second?.id ?? '', bob, 'approve');
    says('pass');
    expect((await roll.look()).decision.action).toBe('advance');
  });

  test('cannot approve a request that was withdrawn, nor one of a rollout that is over', async () => {
    const { roll, says, pending } = await waiting();
    const [withdrawn] = await pending();
    says('too-few');
    await roll.look();
    const newest = (await pending()).find(({ id }) => id !== withdrawn?.id);
    const approve = (id = '') => decideWave(owner, id, bob, 'approve');
    await expect(approve(withdrawn?.id)).rejects.toMatchObject({
      code: 'ROLLOUT_STATE',
      message: expect.stringContaining('has logins too-few, which was pass'),
    });
    await abortRollout(owner, { job: roll.job, reason: 'enough' }, ann);
    await expect(approve(newest?.id)).rejects.toMatchObject({
      code: 'ROLLOUT_STATE',
      message: expect.stringContaining('the rollout is aborted'),
    });
  });

  test('refuse a wave, which pauses the rollout; resumed, it asks again', async () => {
    const roll = await begun();
    await bake(roll);
    await bake(roll);
    await roll.look();
    const asked = async () =>
      (await listApprovals(owner, { state: 'pending' }, { limit: 50 })).items.filter(({ subject }) =>
        subject.startsWith(`${roll.job} `),
      );
    await decideWave(owner, (await asked())[0]?.id ?? '', bob, 'reject');
    expect((await roll.look()).decision).toMatchObject({
      action: 'hold',
      reason: expect.stringContaining('paused') as unknown,
    });
    expect(await roll.rollout()).toMatchObject({ status: 'paused' });
    await roll.look();
    expect(await asked()).toEqual([]);
    await resumeRollout(owner, { job: roll.job, reason: 'talked it over' }, ann);
    await roll.look();
    expect(await asked()).toHaveLength(1);
  });
});
