import type { RolloutMeasures } from '../telemetry/metrics/rollouts.js';
import type { Looked } from './advance.js';
import { permilleOf } from './read-evidence.js';

/** What is measured of a rollout: shares by region, the age of its newest step, and its least advanced bake. */
export function measuresOf({ rollout, evidence }: Looked, now: Date): RolloutMeasures {
  const { job, version, policy, parts } = rollout;
  const baking = parts.filter(({ step, done }) => step >= 0 && !done);
  const least = (fraction: (region: string, since: Date) => number): number =>
    Math.min(1, ...baking.map(({ region, since }) => fraction(region, since ?? now)));
  const seen = (region: string) => evidence.find((each) => each.region === region);
  const bakeOf = (region: string) => policy.waves.find((wave) => wave.regions.includes(region))?.bake;
  const steps = parts.flatMap(({ since }) => (since ? [since.getTime()] : []));
  return {
    job,
    version,
    shares: parts.map((part) => ({ region: part.region, share: permilleOf(policy, part) / 1000 })),
    skippedBakes: parts.map(({ region, skipped }) => ({ region, bakes: skipped.length })),
    stepAgeSeconds: Math.max(0, (now.getTime() - Math.max(rollout.startedAt.getTime(), ...steps)) / 1000),
    bakeProgress: {
      runs: least((region) => part(seen(region)?.runs ?? 0, bakeOf(region)?.runs ?? 0)),
      changes: least((region) => part(seen(region)?.changes ?? 0, bakeOf(region)?.changes ?? 0)),
      time: least((region, since) => part(now.getTime() - since.getTime(), bakeOf(region)?.timeMs ?? 0)),
    },
  };
}

/** Of nothing asked for, all is there. */
function part(of: number, whole: number): number {
  return whole === 0 ? 1 : Math.min(1, of / whole);
}
