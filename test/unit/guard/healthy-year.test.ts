import { describe, expect, test } from '@jest/globals';
import { backtestCount } from '../../../src/guard/backtest.js';
import type { CountedRun } from '../../../src/guard/count-history.js';
import { falseTripsAYear } from '../../../src/guard/false-alarm-budget.js';
import { startOutcome, stepOutcome } from '../../../src/guard/outcome.js';
import { startRate, stepRate } from '../../../src/guard/rate.js';
import { seededRandom, type Random } from '../../../src/replay/random.js';

const DAY_MS = 86_400_000;
const DAYS = 365;
const NEW_YEAR = Date.UTC(2025, 0, 1);

/** Sunday first: who asks for domains does so on working days. */
const WEEK = [0.35, 1.1, 1.2, 1.15, 1.1, 1, 0.4];

/** Changes of a usual day at the start, how even days are (a variance of μ + μ²/k), and how it grows in a year. */
const REGIONS = [
  { region: 'eu-west-1', mean: 120, k: 10, growth: 0.5 },
  { region: 'eu-central-1', mean: 60, k: 5, growth: 0.3 },
  { region: 'us-east-1', mean: 200, k: 20, growth: 0.6 },
  { region: 'us-west-2', mean: 30, k: 8, growth: 0.5 },
  { region: 'ap-southeast-2', mean: 12, k: 4, growth: 1 },
  { region: 'ap-northeast-1', mean: 5, k: 2, growth: 0.2 },
] as const;

// As in flags/domain-claim.yaml, but for the floor: so low that it excuses little.
const COUNT = { rule: 'claims-per-run', alpha: 2.5e-4, floor: 10 };
const RATES = [
  { rule: 'conflicts', alpha: 1e-3, p0: 0.01 },
  { rule: 'refusals', alpha: 1e-3, p0: 0.001 },
] as const;
const RELEASES = 12;
const OUTCOME = { rule: 'logins', alpha: 0.01 };

/** Draws from a distribution on 0, 1, 2, … by the chance of 0 and the ratio of each chance to the one before. */
function drawn(random: Random, none: number, ratio: (y: number) => number): number {
  let [left, chance, y] = [random.unit() - none, none, 0];
  while (left >= 0) {
    chance *= ratio(y);
    y += 1;
    left -= chance;
  }
  return y;
}

function negativeBinomial(random: Random, mean: number, k: number): number {
  return drawn(random, (k / (k + mean)) ** k, (y) => ((y + k) / (y + 1)) * (mean / (mean + k)));
}

function binomial(random: Random, n: number, p: number): number {
  return drawn(random, (1 - p) ** n, (y) => ((n - y) / (y + 1)) * (p / (1 - p)));
}

function yearOf({ region, mean, k, growth }: (typeof REGIONS)[number]): CountedRun[] {
  const random = seededRandom(`healthy year of ${region}`);
  return Array.from({ length: DAYS }, (_, day) => {
    const at = NEW_YEAR + day * DAY_MS;
    const level = mean * (WEEK[new Date(at).getUTCDay()] ?? 1) * (1 + growth) ** (day / DAYS);
    return { at, count: negativeBinomial(random, level, k), units: 1_000 };
  });
}

/** Whether a run in which as many changes go wrong as the policy accepts is told to be a bad one. */
function rateTrips(random: Random, rate: (typeof RATES)[number]): boolean {
  const batches = [10, 20, 50, 100, 500, 500];
  let state = startRate({ ...rate, plannedBatches: batches.length });
  for (const n of batches) ({ state } = stepRate(state, { n, x: binomial(random, n, rate.p0) }));
  return state.failed !== null;
}

/** Whether a release that is no worse than the version before it is told to be so, seen at each of 300 events. */
function outcomeTrips(random: Random): boolean {
  let state = startOutcome(OUTCOME);
  for (let event = 0; event < 300; event += 1) {
    const candidateEvents = random.chance(0.1) ? 1 : 0;
    ({ state } = stepOutcome(state, [{ newEvents: 1, candidateEvents, theta: 0.1 }]));
  }
  return state.failed !== null;
}

describe('a year of healthy runs in six regions, with weekdays and growth', () => {
  const backtests = REGIONS.map((each) => backtestCount(yearOf(each), COUNT));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const countTrips = sum(backtests.map(({ trips }) => trips));
  const printed = sum(backtests.map(({ budget }) => budget.falseTripsAYear ?? NaN));

  test('is judged: all but the first few runs of each region, and by weekday', () => {
    for (const { runs } of backtests) {
      expect(runs.filter(({ verdict }) => verdict === 'too-few')).toHaveLength(3);
      const expected = (day: number): number => runs[day]?.expected ?? NaN;
      // 2025-12-28 was a Sunday, 2025-12-30 a Tuesday.
      expect(expected(361)).toBeLessThan(expected(363) / 2);
    }
  });

  test('trips counts no more often than the budget that backtest prints', () => {
    expect(printed).toBeCloseTo(6 * 365 * COUNT.alpha, 2);
    expect(countTrips).toBeLessThanOrEqual(printed);
  });

  test('nor, but for chance, at ten times alpha, where a budget of five leaves something to count', () => {
    const trips = sum(backtests.map(({ alternatives }) => alternatives[1]?.trips ?? NaN));
    const budget = 10 * printed;
    expect(trips).toBeGreaterThan(0);
    expect(trips).toBeLessThanOrEqual(budget + 2 * Math.sqrt(budget));
  });

  test('trips all rules together, each at the very worst that is healthy, within the budget of the policy', () => {
    const random = seededRandom('healthy batches and outcomes');
    let trips = countTrips;
    for (let run = 0; run < REGIONS.length * DAYS; run += 1)
      trips += RATES.filter((rate) => rateTrips(random, rate)).length;
    for (let release = 0; release < REGIONS.length * RELEASES; release += 1)
      trips += outcomeTrips(random) ? 1 : 0;
    expect(trips).toBeLessThanOrEqual(
      falseTripsAYear({
        regions: REGIONS.length,
        runsAYear: DAYS,
        releasesAYear: RELEASES,
        runAlphas: [COUNT.alpha, ...RATES.map(({ alpha }) => alpha)],
        outcomeAlphas: [OUTCOME.alpha],
      }),
    );
  }, 60_000);
});
