import { describe, expect, test } from '@jest/globals';
import { decide, judgeCount, type CountOptions } from '../../../src/guard/count.js';
import { CountHistory, type CountedRun } from '../../../src/guard/count-history.js';
import { falseTripsAYear } from '../../../src/guard/backtest.js';
import { startOutcome, stepOutcome } from '../../../src/guard/outcome.js';
import { startRate, stepRate } from '../../../src/guard/rate.js';
import { seededRandom, type Random } from '../../../src/demo/random.js';
import { drawn, negativeBinomial } from './draws.js';

const DAY_MS = 86_400_000;
/** Half a year: each day more costs as much as it tells. */
const DAYS = 182;
const NEW_YEAR = Date.UTC(2025, 0, 1);

/** Sunday first: who asks for domains does so on working days. */
const WEEK = [0.35, 1.1, 1.2, 1.15, 1.1, 1, 0.4];

/** Changes of a usual day at the start, how even days are (a variance of μ + μ²/k), and how it grows meanwhile. */
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
/** Without any floor at all, and where there is something to count. */
const UNITS = { rule: 'organisations-claimed', of: 'units', alpha: 2.5e-4, floor: 1 } as const;
const RATES = [
  { rule: 'conflicts', alpha: 1e-3, p0: 0.01 },
  { rule: 'refusals', alpha: 1e-3, p0: 0.001 },
] as const;
const RELEASES = 6;
const OUTCOME = { rule: 'logins', alpha: 0.01 };

function binomial(random: Random, n: number, p: number): number {
  return drawn(random, (1 - p) ** n, (y) => ((n - y) / (y + 1)) * (p / (1 - p)));
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const levelOn = (day: number, { mean, growth }: { readonly mean: number; readonly growth: number }): number =>
  mean * (WEEK[new Date(NEW_YEAR + day * DAY_MS).getUTCDay()] ?? 1) * (1 + growth) ** (day / DAYS);

function runsOf(region: (typeof REGIONS)[number]): CountedRun[] {
  const random = seededRandom(`healthy runs of ${region.region}`);
  return Array.from({ length: DAYS }, (_, day) => ({
    at: NEW_YEAR + day * DAY_MS,
    count: negativeBinomial(random, levelOn(day, region), region.k),
    units: 1_000,
  }));
}

/** An alpha at which some healthy runs trip. */
const WIDE = 0.01;

interface Stopped {
  readonly trips: number;
  /** At a hundredth, which leaves something to count. */
  readonly tripsAtWide: number;
  readonly holds: number;
}

/** Walks forward as a region does: each run is judged after those before it that passed. */
function walk(runs: readonly CountedRun[], options: CountOptions): Stopped {
  const accepted = new CountHistory(options.timeZone);
  const stopped = { trips: 0, tripsAtWide: 0, holds: 0 };
  for (const run of runs) {
    const { verdict, worth, state, expected } = decide(accepted, run, options);
    if (expected && run.count >= options.floor && expected.lnMore <= Math.log(WIDE)) stopped.tripsAtWide += 1;
    if (verdict === 'fail') stopped[worth === 'hold' ? 'holds' : 'trips'] += 1;
    else accepted.add({ ...run, state });
  }
  return stopped;
}

function walkAll(
  regions: readonly (readonly CountedRun[])[],
  options: CountOptions,
): Stopped & { runs: number } {
  const each = regions.map((runs) => walk(runs, options));
  return {
    runs: sum(regions.map(({ length }) => length)),
    trips: sum(each.map(({ trips }) => trips)),
    tripsAtWide: sum(each.map(({ tripsAtWide }) => tripsAtWide)),
    holds: sum(each.map(({ holds }) => holds)),
  };
}

/** As many as a budget allows, but for chance. */
const atMost = (budget: number): number => budget + 2 * Math.sqrt(budget);

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

describe('half a year of healthy runs in six regions, with weekdays and growth', () => {
  const regions = REGIONS.map(runsOf);
  const { runs, trips: countTrips, tripsAtWide } = walkAll(regions, COUNT);

  test('is judged from the fourth run of a region on, and by weekday', () => {
    for (const past of regions) {
      const judged = (day: number) =>
        judgeCount(past.slice(0, day), { count: 0, units: 0, at: 0, ...past[day] }, COUNT);
      expect([2, 3].map((day) => judged(day).verdict === 'too-few')).toEqual([true, false]);
      // 2025-06-29 was a Sunday, 2025-07-01 a Tuesday.
      const expected = (day: number): number => Number(judged(day).figures['expected']);
      expect(expected(179)).toBeLessThan(expected(181) / 2);
    }
  });

  test('trips counts no more often than their budget', () => {
    expect(countTrips).toBeLessThanOrEqual(runs * COUNT.alpha);
  });

  // Seven weekdays that differ, of which little is known each, may cost twice alpha.
  test('nor, but for chance, at twice a hundredth, where a budget leaves something to count', () => {
    expect(tripsAtWide).toBeGreaterThan(0);
    expect(tripsAtWide).toBeLessThanOrEqual(atMost(2 * runs * WIDE));
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

/** Of how many organisations a region has how many come up with something on a usual day, and how even days are. */
const ORGANISATIONS = [
  { organisations: 50, mean: 4, k: 20, growth: 0.5 },
  { organisations: 1_667, mean: 150, k: 10, growth: 0.6 },
] as const;

/** What the version that is rolled out has of each day of a fortnight, in hundredths; the one before has the rest. */
const ROLLOUT = [0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 10, 10, 50, 0];

/**
 * Half a year of a healthy job that finds what there is to do: by how many organisations it plans changes for, and by
 * how many changes. Most plan one or two; now and then one comes in whole, with up to 300 accounts.
 */
function runsOfUnits(region: (typeof ORGANISATIONS)[number], isAway: (day: number) => boolean) {
  const random = seededRandom(`organisations of ${region.organisations}`);
  const [units, changes]: [CountedRun[], CountedRun[]] = [[], []];
  let waiting = 0;
  for (let day = 0; day < DAYS; day += 1) {
    waiting += levelOn(day, region) * (negativeBinomial(random, 1_000, region.k) / 1_000);
    if (isAway(day)) continue;
    for (const share of [ROLLOUT[day % ROLLOUT.length] ?? 0, 100 - (ROLLOUT[day % ROLLOUT.length] ?? 0)]) {
      const admitted = Math.round((region.organisations * share) / 100);
      if (admitted === 0) continue;
      const due = waiting / region.organisations;
      const count = Array.from({ length: admitted }, () => random.chance(due)).filter(Boolean).length;
      const sizes = Array.from({ length: count }, () =>
        random.chance(0.01) ? random.between(60, 300) : random.between(1, 2),
      );
      const run = { at: NEW_YEAR + day * DAY_MS + (share < 50 ? 1 : 0), units: admitted };
      units.push({ ...run, count });
      changes.push({ ...run, count: sum(sizes) });
    }
    waiting = 0;
  }
  return { units, changes };
}

describe('half a year of healthy runs and rollouts, with organisations that come in whole', () => {
  const regions = ORGANISATIONS.map((region) => runsOfUnits(region, () => false));
  const units = walkAll(
    regions.map(({ units: each }) => each),
    UNITS,
  );

  test('trips no count of organisations more often than its budget, without any floor', () => {
    expect(units.trips).toBeLessThanOrEqual(atMost(units.runs * UNITS.alpha));
    expect(units.tripsAtWide).toBeGreaterThan(0);
    expect(units.tripsAtWide).toBeLessThanOrEqual(atMost(units.runs * WIDE));
    expect(units.holds).toBe(0);
  });

  test('would trip a count of changes with as low a floor far more often: these have theirs', () => {
    const { runs, trips } = walkAll(
      regions.slice(1).map(({ changes }) => changes),
      { ...COUNT, floor: 25 },
    );
    expect(trips).toBeGreaterThan(10 * runs * COUNT.alpha);
  });

  test('goes on after three days without a run, once a month, in which work gathers', () => {
    for (const region of ORGANISATIONS) {
      const { units } = runsOfUnits(region, (day) => day % 30 > 26);
      const afterPause = units.flatMap(({ at }, index) =>
        index > 50 && Number(at) - Number(units[index - 1]?.at) > 2 * DAY_MS ? [index, index + 1] : [],
      );
      expect(afterPause.length).toBeGreaterThan(6);
      for (const index of afterPause) {
        const now = { count: 0, units: 0, at: 0, ...units[index] };
        expect(judgeCount(units.slice(0, index), now, UNITS).verdict).toBe('pass');
      }
    }
  });
});
