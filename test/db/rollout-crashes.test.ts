import { afterEach, describe, expect, test } from '@jest/globals';
import { onFaultPoint, type RolloutFaultPoint } from '../../src/kernel/fault-point.js';
import { killGate } from '../../src/containment/kill-gate.js';
import { testDatabase } from '../support/database.js';
import { expectAgreement } from '../support/rollout-agreement.js';
import { approveWave, bake, begunOn, shares, type Rolling } from '../support/rolling.js';

const database = await testDatabase();
const owner = database.owner;

afterEach(() => onFaultPoint(undefined));

const begun = () => begunOn(database);
const approve = (roll: Rolling) => approveWave(owner, roll);

describe('a control plane that dies', () => {
  const crash = (at: RolloutFaultPoint): void => {
    onFaultPoint((point) => {
      if (point === at) throw new Error(`died at ${at}`);
    });
  };

  test.each(['rollout.decided', 'rollout.flag-set', 'rollout.before-commit', 'rollout.committed'] as const)(
    'at %s of a step leaves flags, rollout and record agreeing, and the next goes on',
    async (point) => {
      const roll = await begun();
      await bake(roll);
      await bake(roll);
      await roll.look();
      await approve(roll);
      crash(point);
      await expect(roll.look()).rejects.toThrow(`died at ${point}`);
      await expectAgreement(owner, roll);
      onFaultPoint(undefined);
      await roll.look();
      await expectAgreement(owner, roll);
      expect(await shares(roll)).toMatchObject({ b: '1.1.0 500, 1.0.0 500', c: '1.1.0 500, 1.0.0 500' });
    },
  );

  test.each(['rollout.decided', 'rollout.tripped', 'rollout.flag-set', 'rollout.before-commit'] as const)(
    'at %s of an abort leaves a version that can do nothing, and the next finishes it',
    async (point) => {
      const roll = await begun();
      const [a = ''] = roll.regions;
      // A trip has changed the flags by then; of a version that a person has quarantined, the abort does.
      const byHand = point === 'rollout.flag-set';
      const { version } = roll.candidate;
      if (byHand) await killGate(owner, { job: roll.job, region: a, version, reason: 'bad', by: 'eve' });
      else
        roll.verdicts.set(a, [
          { rule: 'logins', verdict: 'fail', reason: 'logins: bad', judgedAt: roll.now() },
        ]);
      crash(point);
      await expect(roll.look()).rejects.toThrow(`died at ${point}`);
      onFaultPoint(undefined);
      await expectAgreement(owner, roll, point !== 'rollout.decided' && !byHand);
      if (point !== 'rollout.decided') {
        const reports = await roll.slot();
        expect(
          reports.filter(({ run }) => run.version === roll.candidate.version).map(({ status }) => status),
        ).toEqual(['held', 'held', 'held']);
      }
      await roll.look();
      await expectAgreement(owner, roll);
      expect(await roll.rollout()).toMatchObject({ status: 'aborted' });
      expect(await shares(roll)).toEqual({ a: '1.0.0 1000', b: '1.0.0 1000', c: '1.0.0 1000' });
    },
  );
});
