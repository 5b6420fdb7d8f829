import { parsePolicyFile } from '../../../src/flags/policy.js';
import { applyPolicies } from '../../../src/flags/policy-store.js';
import { advanceRollout } from '../../../src/rollout/advance.js';
import { announceVersions } from '../../../src/rollout/announce.js';
import { startRollout } from '../../../src/rollout/start-rollout.js';
import { setAdmittedFlag } from '../../support/admissions.js';
import { person } from '../../support/people.js';
import { owner } from './opened.js';

/** A rollout that bakes in its first wave, for the screens that show and steer it. */

export const OLD = '1.0.0_11111111';
export const NEW = '1.1.0_22222222';
export const NEXT = '1.2.0_33333333';
const REGIONS = ['eu', 'us'];

/** Its id. */
export async function seedRollout(job: string): Promise<string> {
  const text = `job: ${job}
schedule: '*/5 * * * *'
unit: { one: tenant, many: tenants }
regions: [eu, us]
rollout:
  waves:
    - { name: first, regions: [eu], steps: [10%, 100%], bake: { runs: 3, changes: 20, time: 1h } }
    - { name: rest, regions: [us], steps: [100%], bake: { runs: 1, changes: 0, time: 0s }, approvals: 1 }
`;
  await applyPolicies(owner, [parsePolicyFile(text, 'test.yaml')], 'test');
  for (const region of REGIONS) {
    const variants = [{ version: OLD, permille: 1000 }];
    await setAdmittedFlag(owner, {
      ...{ job, region, enabled: true, variants, reason: 'test', changedBy: 'test' },
    });
  }
  await offer(job);
  const order = { job, version: NEW, reason: 'new rules' };
  const { id } = await startRollout(owner, order, person('olga', 'operator'));
  await advance(id);
  return id;
}

/** A worker says which versions it can run, and counts as there for as long as the tests go on. */
async function offer(job: string): Promise<void> {
  const versions = [OLD, NEW, NEXT].map((version) => ({ job, version, regions: REGIONS }));
  await announceVersions(owner, `waves-of-${job}`, versions);
  await owner.query(
    `update portcullis_control.worker_version set last_seen_at = clock_timestamp() + interval '1 hour' where job = $1`,
    [job],
  );
}

/** What the control plane does every second. */
export async function advance(id: string): Promise<void> {
  const ports = {
    control: owner,
    regionOf: () => owner,
    verdictsOf: () => Promise.resolve([]),
    trip: () => Promise.resolve(),
  };
  await advanceRollout(ports, id);
}
