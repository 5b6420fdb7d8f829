import { admitInitially } from '../../flags/admission-store.js';
import { setFlag } from '../../flags/flag-store.js';
import type { Policy } from '../../flags/policy.js';
import { beforeSlot, live, SLOT_MINUTES } from './life.js';
import { PEOPLE } from './people.js';
import { hearFlags, runSlot } from './run-slot.js';
import { regionsOf } from './world.js';
import type { OpenWorld, Say } from './world-port.js';

/** Healthy runs of the stable version in each region, before the faulty one ships. */
export const HEALTHY_RUNS = 20;

/**
 * The hours before the incident: the stable version runs in each slot of every region, behind its flag and
 * through the whole platform, while users go on. `shippedAt` is the first slot after them.
 */
export async function runHistory(world: OpenWorld, policy: Policy, shippedAt: Date, say: Say): Promise<void> {
  const { owner, size, stable } = world;
  const regions = regionsOf(size);
  const first = { job: policy.job, version: stable.version, regions, reason: 'the first version' };
  await admitInitially(owner, first, { name: PEOPLE.name, role: 'operator', regions: null });
  for (const region of regions) {
    await setFlag(owner, {
      ...{ job: policy.job, region, enabled: true, reason: 'the stable version', changedBy: PEOPLE.name },
      variants: [{ version: stable.version, permille: 1000 }],
    });
  }
  await hearFlags(world, policy.job);
  for (let run = 0; run < HEALTHY_RUNS; run += 1) {
    say(`healthy runs, ${run + 1} of ${HEALTHY_RUNS}`);
    const minute = (run - HEALTHY_RUNS) * SLOT_MINUTES;
    await beforeSlot(owner, size, run, HEALTHY_RUNS);
    const slot = new Date(shippedAt.getTime() + minute * 60_000);
    await Promise.all(
      regions.map(async (region) => {
        const { status, reason } = await runSlot(world, stable, policy, region, slot);
        if (status === 'succeeded') return;
        throw new Error(`a healthy run in ${region} ended as ${status}: ${reason}`);
      }),
    );
    await live(owner, size, { from: minute, until: minute + SLOT_MINUTES }, { expected: false });
  }
}
