import { lnBeta } from './gamma.js';

// Looked up once: these are the innermost loops.
const { exp, log, log1p, sinh, cosh } = Math;

/**
 * A count Y that is negative-binomial with `k` and an unknown p, of which Beta(a, b) is known. `k` is ½ or a
 * whole number: for these the tails take a bounded number of steps, however large the count.
 */
export interface BetaNegativeBinomial {
  readonly k: number;
  readonly a: number;
  readonly b: number;
  /** ln B(a, b), where it is known already. */
  readonly lnBetaAB?: number | undefined;
}

/** What is smaller than this against the sum no longer shows in it. */
const NEGLIGIBLE = 1e-17;

/** ln P(Y = y). Also between whole numbers, where it is a smooth line through them. */
export function lnMass(distribution: BetaNegativeBinomial, y: number): number {
  const { k } = distribution;
  return lnMassOf(distribution, y, -log(y + k) - lnBeta(k, y + 1));
}

/** The same, where lnΓ(y+k) − lnΓ(k) − lnΓ(y+1) is known. */
export function lnMassOf({ k, a, b, lnBetaAB }: BetaNegativeBinomial, y: number, lnShape: number): number {
  return lnShape + lnBeta(a + k, b + y) - (lnBetaAB ?? lnBeta(a, b));
}

/** ln P(Y ≥ y) for a whole y ≥ 0. */
export function lnUpperTail(distribution: BetaNegativeBinomial, y: number): number {
  if (y <= 0) return 0;
  const lnTail = distribution.k === 0.5 ? lnSmoothTail(distribution, y) : lnSuccessesFirst(distribution, y);
  return Math.min(0, lnTail);
}

/** ln P(Y ≤ y) for a whole y ≥ 0. */
export function lnLowerTail(distribution: BetaNegativeBinomial, y: number): number {
  if (y < 0) return -Infinity;
  const upper = exp(lnUpperTail(distribution, y + 1));
  // With k = ½ a count of 0 is never so unlikely that the difference loses it.
  if (upper < 0.9 || distribution.k === 0.5) return log1p(-upper);
  return Math.min(0, lnSuccessesReached(distribution, y));
}

/**
 * At least y failures before the k-th success: fewer than k successes before the y-th failure. Their chances
 * are summed, all k of them, whatever y is.
 */
function lnSuccessesFirst({ k, a, b, lnBetaAB }: BetaNegativeBinomial, y: number): number {
  let scale = lnBeta(a, b + y) - (lnBetaAB ?? lnBeta(a, b));
  let term = 1;
  let sum = 1;
  for (let successes = 0; successes < k - 1; successes += 1) {
    term *= ((y + successes) / (successes + 1)) * ((a + successes) / (a + b + y + successes));
    sum += term;
    if (sum > 1e250) {
      scale += log(sum);
      term /= sum;
      sum = 1;
    }
  }
  return scale + log(sum);
}

/**
 * At most y failures before the k-th success: at least k successes among the first y + k trials. Below the
 * middle, where alone it is asked, the chances shrink by about y over the mean each, so that few are summed.
 */
function lnSuccessesReached({ k, a, b }: BetaNegativeBinomial, y: number): number {
  const trials = y + k;
  const first = -log(trials + 1) - lnBeta(k + 1, y + 1) + lnBeta(a + k, b + y) - lnBeta(a, b);
  let term = 1;
  let sum = 1;
  for (let successes = k; successes < trials && term > sum * NEGLIGIBLE; successes += 1) {
    const failures = trials - successes;
    term *= (failures / (successes + 1)) * ((a + successes) / (b + failures - 1));
    sum += term;
  }
  return first + log(sum);
}

/** Where each step takes less than this share off, the rest of the sum is as good as an integral. */
const SMOOTH_BELOW = 0.01;

/**
 * The tail where the chances fall from the first (k < 1): summed until they fall slowly, and the rest by the
 * midpoint rule read backwards, Σ f(t) = ∫ f + f′/24 from half a step before. A fall as slow as a power's, which
 * no sum would see the end of, is no harder than any other.
 */
function lnSmoothTail(distribution: BetaNegativeBinomial, y: number): number {
  const { k, a, b } = distribution;
  const first = lnMass(distribution, y);
  let sum = 0;
  let term = 1;
  for (let t = y; term > sum * NEGLIGIBLE; t += 1) {
    const ratio = ((t + k) / (t + 1)) * ((b + t) / (a + k + b + t));
    if (1 - ratio < SMOOTH_BELOW && t > y) {
      const last = (term * (a + k + b + t - 1) * t) / ((t - 1 + k) * (b + t - 1));
      const integral = integralFrom((at) => exp(lnMass(distribution, at) - first), t - 0.5, 1 / (1 - ratio));
      return first + log(sum + integral + (term - last) / 24);
    }
    sum += term;
    term *= ratio;
  }
  return first + log(sum);
}

const STEP = 1 / 16;
const STEPS_EACH_WAY = 58;

/** ∫ f from `start` to ∞, by the double-exponential rule of Takahasi and Mori; f falls on the scale of `scale`. */
function integralFrom(f: (at: number) => number, start: number, scale: number): number {
  let sum = 0;
  for (let step = -STEPS_EACH_WAY; step <= STEPS_EACH_WAY; step += 1) {
    const v = step * STEP;
    const distance = scale * exp((Math.PI / 2) * sinh(v));
    sum += f(start + distance) * distance * cosh(v);
  }
  return sum * STEP * (Math.PI / 2);
}
