import { bakeJob, type BakePlatform } from '../../guard/bake/bake.js';
import { keepOutcomes } from '../../guard/bake/outcome-report.js';
import { readVerdicts } from '../../guard/bake/verdicts.js';
import { failedRule } from '../../guard/trip-row.js';
import { trip, type Tripped, type TripPlanes } from '../../guard/trip.js';
import type { Policy } from '../../flags/policy.js';
import { rulesOf } from '../../flags/guard-policy.js';
import { advanceRollouts, type AdvancePorts } from '../../rollout/advance.js';
import { killJob, requireComplete } from '../../gate/kill-switch.js';
import type { FailedLogin } from './life.js';
import { PEOPLE } from './people.js';
import type { OpenWorld } from './world-port.js';

/** The control plane while a version bakes: it hears of outcomes, judges, trips, and moves the rollout on. */
export interface GuardWatch {
  /** Products report logins that failed. */
  report(failed: readonly FailedLogin[]): Promise<void>;
  /** Judges the version, and moves the rollout on by the clock that it is told. Answers what tripped, if anything has. */
  look(now: Date): Promise<Tripped | undefined>;
}

export function watchBake(world: OpenWorld, policy: Policy): GuardWatch {
  const { owner, platform } = world;
  const { job } = policy;
  const planes: TripPlanes = { control: owner, ownerOf: () => owner };
  const events = [...new Set(rulesOf(policy.guard.rules, 'outcome').map(({ event }) => event))];
  let tripped: Tripped | undefined;
  const bake: BakePlatform = {
    control: owner,
    ownerOf: () => owner,
    policies: () => Promise.resolve([policy]),
    look: (flag) => platform.flags.look(flag),
    dropGate: async ({ failed: [first, ...others], ...failure }) => {
      const failed = [failedRule(first), ...others.map(failedRule)] as const;
      tripped = await trip(planes, { ...failure, run: null, stage: 'bake', failed });
    },
    log: platform.log,
    metrics: platform.metrics,
    // Nobody else writes here: what is reported has committed.
    settleMs: 0,
  };
  const ports = (now: Date): AdvancePorts => ({
    control: owner,
    regionOf: () => platform.region,
    verdictsOf: (of, version, region) => readVerdicts(owner, { job: of, version, region }),
    trip: async ({ version, reason }) => {
      const { regions } = policy;
      requireComplete([await killJob(owner, () => owner, { job, version, regions, reason }, PEOPLE)]);
    },
    now: () => now,
  });
  return {
    async report(failed) {
      const at = new Date().toISOString();
      for (const region of new Set(failed.map((each) => each.region))) {
        const here = failed.filter((each) => each.region === region);
        const outcomes = events.flatMap((kind) =>
          here.map(({ id, organisation }) => ({
            id: `${kind}-${id}`,
            job,
            region,
            unit: organisation,
            kind,
            at,
          })),
        );
        if (outcomes.length > 0) await keepOutcomes(owner, region, outcomes);
      }
    },
    async look(now) {
      await bakeJob(bake, policy);
      if (tripped === undefined) await advanceRollouts(ports(now));
      return tripped;
    },
  };
}
