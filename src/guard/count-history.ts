/** What a count is held against: the accepted runs before it, brought to its size and its day. */
import { gatheredFor, teaching, type Covering } from './coverage.js';

/** How many changes of the kind a run planned, or for how many units any, of those admitted that history knew. */
export interface CountedRun extends Covering {
  readonly count: number;
  /** Admitted units, but for newcomers. */
  readonly units: number;
  /** Newcomers among the admitted, and what was planned for them: no history tells whether that is plausible. */
  readonly apart?: { readonly units: number; readonly count: number } | undefined;
}

/** A past count, as it would have been for this run's units on this run's weekday, and what it weighs. */
export interface WeightedCount {
  readonly count: number;
  /** From 0, for what is nothing like the others, to 1. */
  readonly weight: number;
}

/** What a run is held against. */
export interface ComparableCounts {
  readonly counts: readonly WeightedCount[];
  /**
   * How many runs the level rests on: all of them by their weights or, where weekdays differ, those of this
   * run's weekday. The others say how much counts vary, and little of how many there are today.
   */
  readonly levelRuns: number;
  /** How many runs' work has gathered for this run's units: 1, or more where runs failed to come; the counts are of one. */
  readonly gathered: number;
}

const WEIGHED_FROM = 12;
const WEEKDAYS_FROM = 28;

/**
 * The counts that a run of so many units at such a time is held against: per admitted unit, and per run's work.
 * A run of fewer units weighs as much less: that one unit had nothing to do says little of a hundred. From twelve
 * runs on each weighs what it has in common with the others, and from 28 on weekdays that differ are brought to
 * this run's weekday. Runs for newcomers alone teach nothing.
 */
export function comparableCounts(
  history: readonly CountedRun[],
  now: Covering & { readonly units: number },
  { weekdays = true }: { readonly weekdays?: boolean } = {},
): ComparableCounts {
  const served = teaching(
    history.filter(({ units, newcomers }) => units > 0 || newcomers !== undefined),
    now,
  );
  const gatherings = gatheredFor([...served, now]);
  const gathered = gatherings.at(-1) ?? 1;
  const runs = served
    .map(({ at, count, units }, index) => ({ at, count, work: units * (gatherings[index] ?? 1) }))
    .filter(({ work }) => work > 0);
  const scaled = runs.map(({ count, work }) => (count * now.units) / work);
  const sizes = runs.map(({ work }) => Math.min(1, work / now.units));
  const days = runs.map(({ at }) => new Date(at).getUTCDay());
  if (!weekdays || runs.length < WEEKDAYS_FROM || !weekdaysDiffer(scaled, days)) {
    const weights = weightsOf(scaled, sizes);
    const counts = scaled.map((count, index) => ({ count, weight: weights[index] ?? 0 }));
    return { counts, levelRuns: total(weights), gathered };
  }
  const today = new Date(now.at).getUTCDay();
  // Weighed before they are brought to a day: a spike must not teach what its weekday is like.
  const weights = weightsOf(broughtToNoDay(scaled, days), sizes);
  const counts = broughtToDay(today, scaled, days, weights).map((count, index) => ({
    count,
    weight: weights[index] ?? 0,
  }));
  const todays = weights.filter((_, index) => days[index] === today);
  // The one run of the mean that draws a weekday's factor towards 1 is one more.
  return { counts, levelRuns: Math.min(total(weights), total(todays) + 1), gathered };
}

/**
 * Weights by the distance from the median in cube roots, where a count's spread hardly depends on its size: 1
 * up to three spreads, falling to nothing at four and a half. The least spread is a Poisson count's.
 */
function weightsOf(counts: readonly number[], sizes: readonly number[]): number[] {
  if (counts.length < WEIGHED_FROM) return [...sizes];
  const roots = counts.map((count) => Math.cbrt(count + 0.375));
  const middle = median(roots);
  const deviation = 1.4826 * median(roots.map((root) => Math.abs(root - middle)));
  const spread = Math.max(deviation, Math.max(1, middle ** 3) ** (-1 / 6) / 3);
  return roots.map((root, index) => {
    const z = Math.abs(root - middle) / spread;
    return (sizes[index] ?? 0) * (z <= 3 ? 1 : z <= 4.5 ? (3 / z) ** 2 : 0);
  });
}

/** Each count over its weekday's median against that of all: rough, and not moved by a spike. */
function broughtToNoDay(counts: readonly number[], days: readonly number[]): number[] {
  const middle = median(counts);
  const factors = [0, 1, 2, 3, 4, 5, 6].map((day) => {
    const own = counts.filter((_, index) => days[index] === day);
    return own.length < 3 ? 1 : (median(own) + 0.5) / (middle + 0.5);
  });
  return counts.map((count, index) => count / (factors[days[index] ?? 0] ?? 1));
}

/**
 * Each count times today's factor over its own weekday's. A weekday's factor is its mean over all, drawn
 * towards 1 by one run of the mean; a run's own count has no part in the factor that it is divided by.
 */
function broughtToDay(
  today: number,
  counts: readonly number[],
  days: readonly number[],
  weights: readonly number[],
): number[] {
  const runs = [0, 0, 0, 0, 0, 0, 0];
  const sums = [0, 0, 0, 0, 0, 0, 0];
  counts.forEach((count, index) => {
    const day = days[index] ?? 0;
    const weight = weights[index] ?? 0;
    runs[day] = (runs[day] ?? 0) + weight;
    sums[day] = (sums[day] ?? 0) + weight * count;
  });
  const mean = total(sums) / total(runs);
  if (!(mean > 0)) return [...counts];
  const factor = (day: number, withoutRuns = 0, withoutSum = 0): number =>
    ((sums[day] ?? 0) - withoutSum + mean) / (((runs[day] ?? 0) - withoutRuns + 1) * mean);
  const todays = factor(today);
  return counts.map((count, index) => {
    const weight = weights[index] ?? 0;
    return (count * todays) / factor(days[index] ?? 0, weight, weight * count);
  });
}

/** What χ² is above once in a hundred, by its degrees of freedom, from one. */
const CHI_SQUARE_AT_1_PERCENT = [6.635, 9.21, 11.345, 13.277, 15.086, 16.812];

/**
 * Whether counts differ by weekday: the test of Kruskal and Wallis, at one in a hundred. It looks at ranks, so
 * that one spike makes no weekday. A job that runs on one weekday only has no weekdays to compare.
 */
function weekdaysDiffer(counts: readonly number[], days: readonly number[]): boolean {
  const n = counts.length;
  const order = counts.map((_, index) => index).sort((a, b) => (counts[a] ?? 0) - (counts[b] ?? 0));
  const rankSums = [0, 0, 0, 0, 0, 0, 0];
  const runs = [0, 0, 0, 0, 0, 0, 0];
  let ties = 0;
  for (let start = 0, end = 0; start < n; start = end) {
    const value = counts[order[start] ?? 0];
    while (end < n && counts[order[end] ?? 0] === value) end += 1;
    const size = end - start;
    ties += size ** 3 - size;
    for (const index of order.slice(start, end)) {
      const day = days[index] ?? 0;
      runs[day] = (runs[day] ?? 0) + 1;
      rankSums[day] = (rankSums[day] ?? 0) + (start + end + 1) / 2;
    }
  }
  const limit = CHI_SQUARE_AT_1_PERCENT[runs.filter((each) => each > 0).length - 2];
  if (limit === undefined || ties === n ** 3 - n) return false;
  const squares = rankSums.reduce((sum, rankSum, day) => sum + rankSum ** 2 / Math.max(1, runs[day] ?? 0), 0);
  const h = (12 / (n * (n + 1))) * squares - 3 * (n + 1);
  return h / (1 - ties / (n ** 3 - n)) > limit;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
