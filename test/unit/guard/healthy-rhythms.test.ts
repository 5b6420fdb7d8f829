import { describe, expect, test } from '@jest/globals';
import { decide, type CountOptions } from '../../../src/guard/count.js';
import { CountHistory } from '../../../src/guard/count-history.js';
import { unlikelyFrom } from '../../../src/guard/count-prediction.js';
import { seededRandom } from '../../../src/demo/random.js';
import { atLeast, negativeBinomial } from './draws.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** A Monday. */
const START = Date.UTC(2026, 0, 5);
const UNITS = 50;

interface Job {
  /** Of a run that works. */
  readonly meanAt: (at: number) => number;
  readonly k: number;
  /** Which share of runs works. */
  readonly works?: number;
  readonly stepMs: number;
  readonly length: number;
  /** From which run on the chances are looked at. */
  readonly from: number;
  readonly accepts: boolean;
}

/**
 * The chance that a healthy run trips, over alpha: its mean over the runs of a walk. What the history is like is drawn;
 * what the rule does then with the next run is not drawn but known, which takes a hundredth of the runs.
 */
function falseAlarms(seed: string, job: Job, { alpha }: CountOptions): number {
  const { meanAt, k, works = 1, stepMs, length, from, accepts } = job;
  const random = seededRandom(seed);
  const history = new CountHistory();
  const options = { rule: 'healthy', alpha, floor: 1 };
  let [sum, of] = [0, 0];
  for (let index = 0; index < length; index += 1) {
    const at = START + index * stepMs;
    const count = random.chance(works) ? negativeBinomial(random, meanAt(at), k) : 0;
    const run = { at, units: UNITS, count };
    const decision = decide(history, run, options);
    if (index >= from && index % 5 === 0) {
      const { class: comparable } = decision.comparison;
      const prediction = comparable.predictWithStopped(UNITS, alpha) ?? comparable.predict(UNITS);
      sum += (works * atLeast(unlikelyFrom(prediction, alpha), meanAt(at), k)) / alpha;
      of += 1;
    }
    const fails = decision.verdict === 'fail';
    if (!fails || accepts) history.add({ ...run, accepted: fails, state: decision.state });
  }
  return sum / of;
}

function meanOf(repetitions: number, measure: (repetition: number) => number): number {
  return (
    Array.from({ length: repetitions }, (_, at) => measure(at)).reduce((sum, each) => sum + each) /
    repetitions
  );
}

describe('a healthy run trips about as often as alpha says', () => {
  test('of a daily job whose seven weekdays differ, which little history tells apart', () => {
    const means = [20, 200, 150, 120, 90, 60, 40];
    const job = {
      meanAt: (at: number) => means[new Date(at).getUTCDay()] ?? 1,
      ...{ k: 10, stepMs: DAY_MS, length: 160, from: 60, accepts: true },
    };
    const options = { rule: 'week', alpha: 1e-3, floor: 1 };
    expect(meanOf(12, (at) => falseAlarms(`week ${at}`, job, options))).toBeLessThan(1.3);
  });

  test('of an hourly job whose day rises and falls steeply, when nobody accepts an alarm', () => {
    const isWeekend = (at: number): boolean => [0, 6].includes(new Date(at).getUTCDay());
    const meanOfDay = (at: number): number =>
      (isWeekend(at) ? 0.4 : 1) * (0.4 + 59.6 * Math.exp(-(((at % DAY_MS) / HOUR_MS - 13) ** 2) / 15));
    const options = { rule: 'day', alpha: 2.5e-4, floor: 1 };
    const rate = (size: number): number =>
      falseAlarms(
        `day ${size}`,
        {
          meanAt: (at) => size * meanOfDay(at),
          ...{ k: 10, stepMs: HOUR_MS, length: 24 * 84, from: 24 * 14, accepts: false },
        },
        options,
      );
    expect(meanOf(3, (at) => rate([1, 0.3, 1.5][at] ?? 1))).toBeLessThan(1.05);
  });

  // A stopped run is missing from history, and what remains looks narrower than the job is: half as many more.
  test('of an hourly job that works rarely, when nobody accepts an alarm', () => {
    const job = {
      meanAt: () => 80,
      ...{ k: 5, works: 0.03, stepMs: HOUR_MS, length: 24 * 140, from: 24 * 28, accepts: false },
    };
    const options = { rule: 'bursts', alpha: 2.5e-4, floor: 1 };
    expect(meanOf(5, (at) => falseAlarms(`bursts ${at}`, job, options))).toBeLessThan(1.5);
  });
});
