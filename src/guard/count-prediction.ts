import {
  lnLowerTail,
  lnMass,
  lnMassOf,
  lnUpperTail,
  type BetaNegativeBinomial,
} from './beta-negative-binomial.js';
import { lnBeta } from './gamma.js';
import { logSumExp } from './log-sum.js';

// Looked up once: it is in the innermost loop.
const { log, exp } = Math;

/** How even counts can be: from bursts (½) to hardly more spread than a Poisson count (512). */
export const K: readonly number[] = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 512];

/** The prior of each k, ∝ k^−½. */
const LN_PRIOR = K.map((k) => -0.5 * log(k));
const LN_PRIOR_TOTAL = logSumExp(LN_PRIOR);
const LN_BETA_HALVES = lnBeta(0.5, 0.5);

/** What counts say of a negative binomial: their number, their sum, and for each k Σ lnΓ(y+k) − lnΓ(k) − lnΓ(y+1). */
export interface Sums {
  n: number;
  s: number;
  readonly lnShapes: number[];
}

export function noSums(): Sums {
  return { n: 0, s: 0, lnShapes: K.map(() => 0) };
}

/** Adds a count that weighs so much; also between whole numbers. */
export function addCount(sums: Sums, count: number, weight: number): void {
  if (weight === 0) return;
  sums.n += weight;
  sums.s += weight * count;
  if (count === 0) return;
  const shapes = shapesOf(count);
  for (let at = 0; at < K.length; at += 1)
    sums.lnShapes[at] = (sums.lnShapes[at] ?? 0) + weight * (shapes[at] ?? 0);
}

/** Shapes of whole counts are asked for over and over. */
const SHAPES_KEPT = 4_096;
const keptShapes: (Float64Array | undefined)[] = [];

/** For each k, lnΓ(y+k) − lnΓ(k) − lnΓ(y+1), from the one function that keeps the digits of large counts. */
function shapesOf(count: number): Float64Array {
  const kept = keptShapes[count];
  if (kept) return kept;
  const shapes = Float64Array.from(K, (k) => -log(count + k) - lnBeta(k, count + 1));
  if (count < SHAPES_KEPT && Number.isInteger(count)) keptShapes[count] = shapes;
  return shapes;
}

/** ln P(counts | k), for each k: p has the prior Beta(½, ½). */
export function lnEvidence(sums: Sums): number[] {
  return evidenceBy(sums, lnBetas(sums));
}

function evidenceBy({ lnShapes }: Sums, lnBetas: readonly number[]): number[] {
  return lnBetas.map((each, at) => each - LN_BETA_HALVES + (lnShapes[at] ?? 0));
}

/** ln B of what is known of p, for each k. */
function lnBetas({ n, s }: Sums): number[] {
  return K.map((k) => lnBeta(0.5 + k * n, 0.5 + s));
}

/** ln P(counts), over all k. */
export function lnMarginal(lnEvidences: readonly number[]): number {
  return logSumExp(lnEvidences.map((each, at) => each + (LN_PRIOR[at] ?? 0))) - LN_PRIOR_TOTAL;
}

/** ln P(these runs work and those are idle): the chance to work has the prior Beta(½, ½). */
export function lnWorkMarginal(working: number, idle: number): number {
  return lnBeta(0.5 + working, 0.5 + idle) - LN_BETA_HALVES;
}

/** What past counts say of the next. */
export interface CountPrediction {
  /** The expected count. */
  readonly mean: number;
  /** The chance that a run works at all, and what follows is what it plans beyond one; null where what follows is the count. */
  readonly works: number | null;
  /** For each k how likely it is, and what it predicts. None: nothing is known of sizes. */
  readonly components: readonly { readonly lnWeight: number; readonly given: BetaNegativeBinomial }[];
}

/** What is less likely than this among the k changes no verdict. */
const LN_NEGLIGIBLE = -30;

/** How a level is known. */
export interface Level {
  /** The level is so many times that of the sums. */
  readonly times: number;
  /** And known from this share of them. */
  readonly known: number;
}

const AS_IT_IS: Level = { times: 1, known: 1 };

/**
 * The predictive distribution after counts. What is learnt of k comes from them and, as far as it is given, from
 * other counts (`lnElsewhere`, for each k); what is learnt of the level from them alone.
 */
export function predictAfter(
  sums: Sums,
  works: number | null,
  lnElsewhere: readonly number[] | undefined,
  level: Level = AS_IT_IS,
): CountPrediction {
  const { times, known } = level;
  const { n, s } = sums;
  if (n === 0) return { mean: works ?? 0, works: works ?? 0, components: [] };
  const betas = lnBetas(sums);
  const lnWeights = evidenceBy(sums, betas).map(
    (each, at) => each + (LN_PRIOR[at] ?? 0) + (lnElsewhere?.[at] ?? 0),
  );
  const lnTotal = logSumExp(lnWeights);
  const size = (s * times) / n;
  return {
    mean: works === null ? size : works * (1 + size),
    works,
    components: K.map((k, at) => ({
      lnWeight: (lnWeights[at] ?? -Infinity) - lnTotal,
      given: {
        k,
        a: 0.5 + k * n * known,
        b: 0.5 + s * known * times,
        lnBetaAB: level === AS_IT_IS ? betas[at] : undefined,
      },
    })).filter(({ lnWeight }) => lnWeight > LN_NEGLIGIBLE),
  };
}

/** What is predicted where `other` holds with the chance `share` and else `one`: both with idle runs apart, or neither. */
export function mixed(one: CountPrediction, other: CountPrediction, share: number): CountPrediction {
  if (one.components.length === 0 || other.components.length === 0) return one;
  const isSized = one.works !== null && other.works !== null;
  const parts = [
    { of: one, by: (1 - share) * (isSized ? one.works : 1) },
    { of: other, by: share * (isSized ? other.works : 1) },
  ];
  const works = parts.reduce((sum, { by }) => sum + by, 0);
  return {
    mean: (1 - share) * one.mean + share * other.mean,
    works: isSized ? works : null,
    components: parts.flatMap(({ of, by }) => {
      const lnBy = log(by / works);
      return of.components
        .map(({ lnWeight, given }) => ({ lnWeight: lnWeight + lnBy, given }))
        .filter(({ lnWeight }) => lnWeight > LN_NEGLIGIBLE);
    }),
  };
}

/** The chances of a count, and of what is beyond it on either side. */
export interface Tails {
  /** The logarithm of the chance of as many or more. */
  readonly lnMore: number;
  /** The logarithm of the chance of as many or fewer. */
  readonly lnFewer: number;
  /** The chance of exactly as many. */
  readonly chance: number;
}

/** Where more than this are more, what is left is too little to be told as a difference. */
const MOSTLY = 0.9;

export function tailsOf(prediction: CountPrediction, count: number): Tails {
  const lnMore = lnAtLeast(prediction, count);
  const chance = chanceOf(prediction, count);
  const more = exp(lnMore);
  // One tail from the other: each takes a pass over all k.
  const lnFewer = more < MOSTLY ? Math.min(0, Math.log1p(chance - more)) : lnAtMost(prediction, count);
  return { lnMore, lnFewer, chance };
}

/** The logarithm of the chance of `count` or more. */
export function lnAtLeast({ works, components }: CountPrediction, count: number): number {
  if (count <= 0) return 0;
  if (works === null) return lnMixed(components, lnUpperTail, count);
  return log(works) + (components.length === 0 ? 0 : lnMixed(components, lnUpperTail, count - 1));
}

/** The chance of exactly `count`. */
export function chanceOf({ works, components }: CountPrediction, count: number): number {
  if (works !== null && count === 0) return 1 - works;
  if (works !== null && components.length === 0) return 0;
  const size = works === null ? count : count - 1;
  const shapes = shapesOf(size);
  const mass = components.reduce(
    (sum, { lnWeight, given }) =>
      sum + exp(lnWeight + lnMassOf(given, size, shapes[K.indexOf(given.k)] ?? 0)),
    0,
  );
  return (works ?? 1) * mass;
}

/** The logarithm of the chance of `count` or fewer. */
export function lnAtMost({ works, components }: CountPrediction, count: number): number {
  if (count < 0) return -Infinity;
  if (works === null) return lnMixed(components, lnLowerTail, count);
  const sized =
    count === 0 ? 0 : components.length === 0 ? 1 : exp(lnMixed(components, lnLowerTail, count - 1));
  return log(1 - works + works * sized);
}

function lnMixed(
  components: CountPrediction['components'],
  lnTail: (given: BetaNegativeBinomial, count: number) => number,
  count: number,
): number {
  const lns = components.map(({ lnWeight, given }) => lnWeight + lnTail(given, count));
  return Math.min(0, logSumExp(lns));
}

/** The k that the counts are most like: the geometric mean by their chances. */
export function likelyK({ components }: CountPrediction): number {
  return exp(components.reduce((sum, { lnWeight, given }) => sum + exp(lnWeight) * log(given.k), 0));
}

/** No count is looked for beyond: a number holds every whole number up to here. */
const LARGEST_COUNT = Number.MAX_SAFE_INTEGER;

/** The smallest count of which there are as many or more with a chance of at most `p`; Infinity where none is. */
export function unlikelyFrom(prediction: CountPrediction, p: number): number {
  const lnP = log(p);
  const { works, components } = prediction;
  if (components.length === 0) return works !== null && works <= p ? 1 : Infinity;
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
  const lnP = log(p);
  const isLikely = (count: number): boolean => lnAtMost(prediction, count) > lnP;
  if (isLikely(0)) return -1;
  let above = Math.max(1, Math.ceil(prediction.mean));
  while (!isLikely(above)) above *= 2;
  return firstWhere(isLikely, 0, above) - 1;
}

/** Up to so many counts are summed one by one, which takes less than to look for an end among their tails. */
const FEW_COUNTS = 1_000;

/** The smallest and the largest count that is more likely than `p` to be reached from its side. */
export function likelyBetween(prediction: CountPrediction, p: number): { low: number; high: number } {
  const { works, components, mean } = prediction;
  if (components.length > 0 && mean < FEW_COUNTS / 10) {
    const first = works === null ? 0 : 1;
    const masses = components.map(({ lnWeight, given }) => (works ?? 1) * exp(lnWeight + lnMass(given, 0)));
    let below = works === null ? 0 : 1 - works;
    let low = below > p ? 0 : -1;
    for (let size = 0; size < FEW_COUNTS; size += 1) {
      for (let at = 0; at < masses.length; at += 1) {
        const mass = masses[at] ?? 0;
        const { k, a, b } = components[at]?.given ?? { k: 1, a: 1, b: 1 };
        below += mass;
        masses[at] = (mass * (size + k) * (b + size)) / ((size + 1) * (a + k + b + size));
      }
      if (low < 0 && below > p) low = first + size;
      if (1 - below <= p) return { low, high: first + size };
    }
  }
  return { low: unlikelyUpTo(prediction, p) + 1, high: unlikelyFrom(prediction, p) - 1 };
}

/** The interval that is shown holds all but this share of healthy runs. */
const OUTSIDE_SHOWN = 0.05;

/** The interval that 19 of 20 healthy runs are in. */
export function shownInterval(prediction: CountPrediction): { low: number; high: number } {
  return likelyBetween(prediction, OUTSIDE_SHOWN / 2);
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
