import { describe, expect, test } from '@jest/globals';
import { hasBucket, type Buckets } from '../../../src/kernel/bucketing.js';
import { decide, type CountDecision } from '../../../src/guard/count.js';
import { CountHistory, type CountedRun } from '../../../src/guard/count-history.js';
import { newlyAdmittedAmong } from '../../../src/guard/coverage.js';
import { seededRandom } from '../../../src/demo/random.js';

/**
 * First rollouts of a healthy job, 2 % → 10 % → 50 % → 100 %, among organisations that have waited for it: of each
 * ten, four have work for its first run and three for what follows from that in the second.
 */
const STEPS = [20, 100, 500, 1000];
const BACKLOG = [0.4, 0.3];
/** A day: a job that runs more often is not judged on its first one. */
const SLOT_MS = 86_400_000;

/** How many organisations there are, how often one comes up with something, and how many runs a step has. */
interface Region {
  readonly organisations: number;
  readonly rate: number;
  readonly runsAStep: number;
}

const REGIONS: readonly Region[] = [
  { organisations: 50, rate: 0.01, runsAStep: 8 },
  { organisations: 500, rate: 0.004, runsAStep: 8 },
  { organisations: 2_000, rate: 0.02, runsAStep: 8 },
  { organisations: 2_000, rate: 0.02, runsAStep: 20 },
];

interface Ramp {
  /** Whether newcomers are told from the others, or everybody is taken for known. */
  readonly told: boolean;
  readonly alpha: number;
  /** The last run, in which the version has gone wrong: it finds something ten times as often. */
  readonly faultyRun?: number;
}

/** What a count of organisations without any floor says of each run, whatever it said of those before. */
function ramp(region: Region, seed: string, { told, alpha, faultyRun = Infinity }: Ramp): CountDecision[] {
  const { organisations, rate, runsAStep } = region;
  const random = seededRandom(`${seed} of ${organisations}`);
  const buckets = Array.from({ length: organisations }, () => random.between(1, 1000));
  const history: CountedRun[] = [];
  const counted = new CountHistory();
  const said: CountDecision[] = [];
  const servedFrom = buckets.map(() => Infinity);
  for (let run = 0; run < STEPS.length * runsAStep && run <= faultyRun; run += 1) {
    const covered: Buckets = [[0, STEPS[Math.floor(run / runsAStep)] ?? 0]];
    const now = { at: run * SLOT_MS, ...(told && { covered }) };
    const newcomers = newlyAdmittedAmong(history, now);
    let [count, units] = [0, 0];
    buckets.forEach((bucket, organisation) => {
      if (!hasBucket(covered, bucket)) return;
      const first = Math.min(run, servedFrom[organisation] ?? run);
      servedFrom[organisation] = first;
      const found = random.chance((run === faultyRun ? 10 : 1) * rate + (BACKLOG[run - first] ?? 0));
      if (hasBucket(newcomers, bucket)) return;
      units += 1;
      count += found ? 1 : 0;
    });
    const judged = { ...now, count, units, newcomers };
    const decision = decide(counted, judged, { rule: 'organisations', of: 'units', alpha, floor: 1 });
    said.push(decision);
    history.push(judged);
    counted.add({ ...judged, state: decision.state });
  }
  return said;
}

const RAMPS = 16;

/** Of many ramps, how many runs were compared with those before and how many of them tripped. */
function tripsOf(region: Region, options: Ramp): { readonly compared: number; readonly trips: number } {
  const all = Array.from({ length: RAMPS }, (_, seed) => ramp(region, String(seed), options)).flat();
  return {
    compared: all.filter(({ verdict }) => verdict !== 'too-few').length,
    trips: all.filter(({ verdict, worth }) => verdict === 'fail' && worth === undefined).length,
  };
}

describe('a first rollout among organisations that have waited for it', () => {
  test.each(REGIONS)(
    'trips no more often than alpha says, without any floor: $organisations, $rate, $runsAStep',
    (region) => {
      const alpha = 0.01;
      const { compared, trips } = tripsOf(region, { told: true, alpha });
      expect(compared).toBeGreaterThan(0.75 * RAMPS * region.runsAStep);
      expect(trips).toBeLessThanOrEqual(alpha * compared);
    },
    60_000,
  );

  test('hides more faults, were everybody taken for known', () => {
    const region = { organisations: 2_000, rate: 0.02, runsAStep: 8 };
    const found = [true, false].map(
      (told) =>
        Array.from({ length: RAMPS }, (_, seed) =>
          ramp(region, `hidden ${seed}`, { told, alpha: 0.01, faultyRun: 2 * region.runsAStep }),
        ).filter((said) => said.at(-1)?.verdict === 'fail').length,
    );
    expect(found[0]).toBeGreaterThan(RAMPS / 2);
    expect(found[1]).toBeLessThan((found[0] ?? 0) / 2);
  }, 60_000);

  test.each([
    { organisations: 2_000, step: 2, least: 0.75 },
    { organisations: 2_000, step: 3, least: 0.95 },
    { organisations: 6_000, step: 1, least: 0.75 },
    { organisations: 6_000, step: 2, least: 0.95 },
  ])(
    'is stopped where it goes wrong ten times over among those it had: $organisations, step $step',
    ({ organisations, step, least }) => {
      const region = { organisations, rate: 0.02, runsAStep: 20 };
      const faultyRun = step * region.runsAStep;
      const ramps = Array.from({ length: 20 }, (_, seed) =>
        ramp(region, `faulty ${seed}`, { told: true, alpha: 2.5e-4, faultyRun }),
      );
      const found = ramps.filter((said) => said.at(-1)?.verdict === 'fail');
      expect(found.length / ramps.length).toBeGreaterThanOrEqual(least);
    },
    60_000,
  );
});
