import { rulesOf } from '../../flags/guard-policy.js';
import type { Policy } from '../../flags/policy.js';
import { bakeJob, type BakePlatform } from '../../guard/bake/bake.js';
import { dropGateBy } from '../../containment/drop-gate.js';
import { keepOutcomes } from '../../guard/bake/outcome-report.js';
import type { Tripped } from '../../containment/trip.js';
import { advanceRollout, type AdvancePorts } from '../../rollout/advance.js';
import { announceVersions } from '../../rollout/announce.js';
import { bakeVerdicts } from '../../rollout/bake-verdicts.js';
import { stopVersion } from '../../rollout/stop-version.js';
import type { FailedLogin } from './life.js';
import type { OpenWorld } from './world-port.js';

/** The control plane while a version bakes: it hears of outcomes, judges, trips, and moves the rollout on. */
export interface GuardWatch {
  /** Products report logins that failed. */
  report(failed: readonly FailedLogin[]): Promise<void>;
  /** Judges the version, and moves the rollout on by the clock that it is told. Answers what has tripped, if anything. */
  look(now: Date): Promise<Tripped | undefined>;
}

/** Watches a rollout, of which there is no other, in place of the control plane's own timers. */
export function watchBake(world: OpenWorld, policy: Policy, rollout: string): GuardWatch {
  const { owner, platform, faulty } = world;
  const { job } = policy;
  const ownerOf = () => owner;
  let tripped: Tripped | undefined;
  const bake: BakePlatform = {
    control: owner,
    ownerOf,
    policies: () => Promise.resolve([policy]),
    look: (flag) => platform.flags.look(flag),
    dropGate: dropGateBy(ownerOf, {
      ...platform.trips,
      carryOut: async (trip) => (tripped = await platform.trips.carryOut(trip)),
    }),
    log: platform.log,
    metrics: platform.metrics,
    // Nobody else writes here: what is reported has committed.
    settleMs: 0,
  };
  const ports = (now: Date): AdvancePorts => ({
    control: owner,
    regionOf: () => platform.region,
    verdictsOf: (of, version, region) => bakeVerdicts(owner, of, version, region),
    trip: (fault) => stopVersion({ control: owner, ownerOf }, platform.trips, fault),
    now: () => now,
  });
  const kinds = [...new Set(rulesOf(policy.guard.rules, 'outcome').map(({ event }) => event))];
  return {
    async report(failed) {
      const at = new Date().toISOString();
      for (const region of new Set(failed.map((each) => each.region))) {
        const here = failed.filter((each) => each.region === region);
        const outcomes = kinds.flatMap((kind) =>
          here.map(({ id, organisation: unit }) => ({ id: `${kind}-${id}`, job, region, unit, kind, at })),
        );
        if (outcomes.length > 0) await keepOutcomes(owner, region, outcomes);
      }
    },
    async look(now) {
      await bakeJob(bake, policy);
      if (tripped !== undefined) return tripped;
      // The replay runs both versions itself.
      await announceVersions(owner, 'replay', [{ job, version: faulty.version, regions: policy.regions }]);
      await advanceRollout(ports(now), rollout);
      return tripped;
    },
  };
}
