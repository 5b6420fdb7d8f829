import { describe, expect, test } from '@jest/globals';
import type { FaultPoint } from '../../src/kernel/fault-point.js';
import { keepVerdicts } from '../../src/guard/bake/verdicts.js';
import { abortRollout } from '../../src/rollout/steer.js';
import { testDatabase } from '../support/database.js';
import { FAR_SLOT } from '../support/far-slot.js';
import { portcullis, temporaryFolder } from '../support/portcullis.js';
import { ann, rolling, shares, type Rolling } from '../support/rolling.js';
import { expectAgreement } from '../support/rollout-agreement.js';
import { until } from '../support/until.js';

const { owner, url, ...database } = await testDatabase();

const REASON = 'logins: 9 of 10 fail';

const POLICY = `
guard: { rules: [{ kind: outcome, name: logins, event: login-failed, alpha: 0.01, tolerance: 1.1 }] }
rollout:
  waves: [{ name: all, regions: [R-a, R-b, R-c], steps: [10%, 100%], bake: { runs: 9, changes: 9, time: 1h } }]
`;

async function started(): Promise<Rolling> {
  const roll = await rolling({ owner, url, ...database }, POLICY);
  for (const region of roll.policy.regions) {
    await roll.set(region, { enabled: true, variants: [{ version: roll.stable.version, permille: 1000 }] });
  }
  await roll.start();
  return roll;
}

/** A real control plane, which serves no region, and dies by `kill -9` at the nth time that it meets the point. */
async function controlDiesAt(point: FaultPoint, nth: number): Promise<void> {
  const folder = await temporaryFolder({
    'domain-claim.yaml': `job: domain-claim\nschedule: '${FAR_SLOT}'\nregions: [eu]\nguard: { caps: [] }\n`,
  });
  const { finished } = portcullis(['start', '--json'], {
    killAt: `${point}:${nth}`,
    env: {
      PORTCULLIS_DATABASE_URL: url,
      PORTCULLIS_FLAGS: folder,
      PORTCULLIS_HOME: folder,
      PORTCULLIS_REGIONS: 'nowhere',
      PORTCULLIS_HTTP: '127.0.0.1:0',
      PORTCULLIS_LOG_LEVEL: 'error',
    },
  });
  expect(await finished).toMatchObject({ signal: 'SIGKILL' });
}

/** The next control plane looks, as soon as the server has noticed that the dead one's connection is gone. */
async function nextLook(roll: Rolling): Promise<void> {
  await until('the next look', () => roll.look().catch(() => undefined));
}

const STABLE = { a: '1.0.0 1000', b: '1.0.0 1000', c: '1.0.0 1000' };
const STEP = '1.1.0 100, 1.0.0 900';

describe('a control plane that is killed', () => {
  test.each([
    ['rollout.decided', 1],
    ['rollout.flag-set', 1],
    ['rollout.flag-set', 3],
    ['rollout.before-commit', 1],
    ['rollout.committed', 1],
  ] as const)(
    'at %s (%i) of a step leaves shares, flags and record agreeing, and the next goes on',
    async (point, nth) => {
      const roll = await started();
      await controlDiesAt(point, nth);
      const taken = point === 'rollout.committed';
      expect(await shares(roll)).toEqual(taken ? { a: STEP, b: STEP, c: STEP } : STABLE);
      await expectAgreement(owner, roll);
      await nextLook(roll);
      await expectAgreement(owner, roll);
      expect(await shares(roll)).toEqual({ a: STEP, b: STEP, c: STEP });
      await abortRollout(owner, { job: roll.job, reason: 'over' }, ann);
    },
    180_000,
  );

  test.each([
    ['trip.written', 1],
    ['trip.fenced', 1],
    ['trip.quarantined', 1],
    ['trip.recorded', 1],
    ['rollout.tripped', 1],
  ] as const)(
    'at %s (%i) of an abort leaves one trip, which the next brings to its end, and no gate killed',
    async (point, nth) => {
      const roll = await started();
      await roll.look();
      const [a = ''] = roll.policy.regions;
      const { job, candidate } = roll;
      const judged = { rule: 'logins', verdict: 'fail', reason: REASON, figures: {} } as const;
      const at = { job, region: a, version: candidate.version };
      await keepVerdicts(owner, at, [{ kind: 'outcome', judged, state: {} }]);
      roll.verdicts.set(a, [{ ...judged, judgedAt: roll.now() }]);
      await controlDiesAt(point, nth);
      const recorded = ['trip.recorded', 'rollout.tripped'].includes(point);
      await expectAgreement(owner, roll, recorded);
      await nextLook(roll);
      await expectAgreement(owner, roll);
      expect(await roll.rollout()).toMatchObject({ status: 'aborted' });
      expect(await shares(roll)).toEqual(STABLE);
      const { rows } = await owner.query(
        `select t.settled_at is not null as settled, t.closed, g.state,
                (select count(*) from portcullis_region.quarantine q where q.job = t.job) as quarantined,
                (select count(*) from portcullis_control.incident i where i.job = t.job) as incidents
         from portcullis_region.trip t join portcullis_region.gate g using (job, region) where t.job = $1`,
        [job],
      );
      expect(rows).toEqual([
        { settled: true, closed: 'candidate', state: 'held', quarantined: 1, incidents: 1 },
      ]);
    },
    180_000,
  );
});
