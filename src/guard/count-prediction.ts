import { lnLowerTail, lnUpperTail, type BetaNegativeBinomial } from './beta-negative-binomial.js';
import type { ComparableCounts } from './count-history.js';
import { lnBeta } from './gamma.js';
import { logSumExp } from './log-sum.js';

// Looked up once: it is in the innermost loop.
const { log } = Math;

/** How even counts can be: from bursts (½) to hardly more spread than a Poisson count (512). */
const K = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 512];

/**
 * What past counts say of the next: for each k of the grid, how likely it is and what it predicts. The prior
 * of k is ∝ k^−½, that of p is Beta(½, ½).
 */
export interface CountPrediction {
  /** The mean of the past counts, each by its weight. */
  readonly mean: number;
  readonly components: readonly { readonly lnWeight: number; readonly given: BetaNegativeBinomial }[];
}

/** What is less likely than this among the k changes no verdict. */
const LN_NEGLIGIBLE = -60;

/**
 * What is learnt of k comes from all counts. What is learnt of p, and so of the level, is worth no more than
 * the runs that the level rests on: else a level that few runs of a weekday tell is taken for a sure one, and
 * twice as many healthy runs as alpha says fail.
 */
export function predictCount({ counts: history, levelRuns }: ComparableCounts): CountPrediction {
  const n = history.reduce((sum, { weight }) => sum + weight, 0);
  const s = history.reduce((sum, { weight, count }) => sum + weight * count, 0);
  const known = n > 0 ? levelRuns / n : 1;
  const components = K.map((k) => {
    const learnt = { a: 0.5 + k * n, b: 0.5 + s };
    const given = { k, a: 0.5 + k * n * known, b: 0.5 + s * known };
    // lnΓ(y + k) − lnΓ(k) − lnΓ(y + 1), from the one function that keeps the digits of large counts.
    const lnLikelihood = history.reduce(
      (sum, { weight, count }) =>
        weight === 0 ? sum : sum - weight * (log(count + k) + lnBeta(k, count + 1)),
      0,
    );
    return { lnWeight: lnLikelihood + lnBeta(learnt.a, learnt.b) - 0.5 * Math.log(k), given };
  });
  const lnTotal = logSumExp(components.map(({ lnWeight }) => lnWeight));
  return {
    mean: s / n,
    components: components
      .map(({ lnWeight, given }) => ({ lnWeight: lnWeight - lnTotal, given }))
      .filter(({ lnWeight }) => lnWeight > LN_NEGLIGIBLE),
  };
}

/** The logarithm of the chance of `count` or more. */
export function lnAtLeast({ components }: CountPrediction, count: number): number {
  return Math.min(
    0,
    logSumExp(components.map(({ lnWeight, given }) => lnWeight + lnUpperTail(given, count))),
  );
}

/** The logarithm of the chance of `count` or fewer. */
export function lnAtMost({ components }: CountPrediction, count: number): number {
  return Math.min(
    0,
    logSumExp(components.map(({ lnWeight, given }) => lnWeight + lnLowerTail(given, count))),
  );
}

/** No count is looked for beyond: a number holds every whole number up to here. */
const LARGEST_COUNT = Number.MAX_SAFE_INTEGER;

/** The smallest count of which there are as many or more with a chance of at most `p`; Infinity where none is. */
export function unlikelyFrom(prediction: CountPrediction, p: number): number {
  const lnP = Math.log(p);
  const isUnlikely = (count: number): boolean => lnAtLeast(prediction, count) <= lnP;
  let above = Math.max(1, Math.ceil(prediction.mean));
  let below = 0;
  while (!isUnlikely(above)) {
    below = above;
    above *= 2;
    if (above > LARGEST_COUNT) return Infinity;
  }
  return firstWhere(isUnlikely, below, above);
}

/** The largest count of which there are as many or fewer with a chance of at most `p`; −1 where none is. */
export function unlikelyUpTo(prediction: CountPrediction, p: number): number {
  const lnP = Math.log(p);
  const isLikely = (count: number): boolean => lnAtMost(prediction, count) > lnP;
  let above = Math.max(1, Math.ceil(prediction.mean));
  while (!isLikely(above)) above *= 2;
  return firstWhere(isLikely, -1, above) - 1;
}

/** The first whole number above `below` and up to `above` that holds; `above` does, and whatever follows one. */
function firstWhere(holds: (count: number) => boolean, below: number, above: number): number {
  let [low, high] = [below, above];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}
