import { afterEach, describe, expect, test } from '@jest/globals';
import { verifyAudit } from '../../src/audit/verify.js';
import { onFaultPoint, type RolloutFaultPoint } from '../../src/base/fault-point.js';
import { rolloutEvents } from '../../src/rollout/rollout-store.js';
import { testDatabase } from '../support/database.js';
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
  /**
   * Shares by flags and by the rollout, and the number of steps on record, must tell one story. Once tripped, the
   * flags have nothing for the version any more, before the rollout says so.
   */
  async function agree(roll: Rolling, tripped = false): Promise<void> {
    const [{ id, parts, policy, version, status }, flags] = [await roll.rollout(), await roll.flags()];
    for (const { region, step, flagRevision } of parts) {
      const flag = flags.get(region);
      const share = flag?.variants.find((variant) => variant.version === version)?.permille ?? 0;
      const wave = policy.waves.find(({ regions }) => regions.includes(region));
      const stopped = tripped || status === 'aborted';
      expect(share).toBe(stopped || step < 0 ? 0 : wave?.stepsPermille[step]);
      if (!stopped && step >= 0) expect(flag?.revision).toBe(flagRevision);
    }
    const { rows } = await owner.query<{ n: number }>(
      `select count(*) as n from portcullis_control.audit where action like 'rollout-%' and evidence->>'rollout' = $1`,
      [id],
    );
    expect(rows[0]?.n).toBe((await rolloutEvents(owner, id, 100)).length);
    expect((await verifyAudit(owner)).ok).toBe(true);
  }

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
      await agree(roll);
      onFaultPoint(undefined);
      await roll.look();
      await agree(roll);
      expect(await shares(roll)).toMatchObject({ b: '1.1.0 500, 1.0.0 500', c: '1.1.0 500, 1.0.0 500' });
    },
  );

  test.each(['rollout.decided', 'rollout.tripped', 'rollout.flag-set', 'rollout.before-commit'] as const)(
    'at %s of an abort leaves a version that can do nothing, and the next finishes it',
    async (point) => {
      const roll = await begun();
      const [a = ''] = roll.regions;
      roll.verdicts.set(a, [
        { rule: 'logins', verdict: 'fail', reason: 'logins: bad', judgedAt: roll.now() },
      ]);
      crash(point);
      await expect(roll.look()).rejects.toThrow(`died at ${point}`);
      onFaultPoint(undefined);
      await agree(roll, point !== 'rollout.decided');
      if (point !== 'rollout.decided') {
        const reports = await roll.slot();
        expect(
          reports.filter(({ run }) => run.version === roll.candidate.version).map(({ status }) => status),
        ).toEqual(['held', 'held', 'held']);
      }
      await roll.look();
      await agree(roll);
      expect(await roll.rollout()).toMatchObject({ status: 'aborted' });
      expect(await shares(roll)).toEqual({ a: '1.0.0 1000', b: '1.0.0 1000', c: '1.0.0 1000' });
    },
  );
});
