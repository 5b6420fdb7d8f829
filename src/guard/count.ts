import { comparableCounts, type CountedRun } from './count-history.js';
import {
  type CountPrediction,
  lnAtLeast,
  lnAtMost,
  predictCount,
  unlikelyFrom,
  unlikelyUpTo,
} from './count-prediction.js';
import { chance, figure } from './in-words.js';
import type { Judged } from './verdict.js';

export interface CountOptions {
  /** The rule's name in the policy. */
  readonly rule: string;
  /** How often a healthy run may be told to be none: a chance, above 0. */
  readonly alpha: number;
  /** A run that plans fewer is never too many, and where fewer are expected none is too few. */
  readonly floor: number;
  /** Whether weekdays may differ; they are heeded only where they do. */
  readonly weekdays?: boolean;
}

/** One healthy run in four thousand. */
export const DEFAULT_COUNT_ALPHA = 2.5e-4;

export interface CountNow {
  readonly count: number;
  /** How many units the run was admitted for. */
  readonly units: number;
  readonly at: Date | number;
}

/** With fewer runs behind it nothing is said of a count. */
export const FEWEST_RUNS = 3;

/** The interval that is shown holds all but this share of healthy runs. */
const OUTSIDE_SHOWN = 0.05;

/**
 * Judges whether a run's planned count is plausible after the accepted runs before it: the predictive tail of
 * a negative binomial count whose p and k are unknown (GUARD.md section 1). Too many fails; far too few fails
 * with the worth of a hold. Pure; no state: the history is the state. Figures: observed, expected, low and
 * high (19 of 20 healthy runs are between them), samples, p, limit.
 */
export function judgeCount(history: readonly CountedRun[], now: CountNow, options: CountOptions): Judged {
  const { rule, alpha, floor } = options;
  const comparable = comparableCounts(history, now, options);
  const samples = comparable.length;
  if (samples < FEWEST_RUNS || now.units <= 0) {
    const reason =
      now.units <= 0
        ? `${rule}: ${figure(now.count)} planned and no unit admitted, which compares with nothing`
        : `${rule}: ${figure(now.count)} planned; ${samples} runs before it are too few to compare with`;
    return { verdict: 'too-few', rule, reason, figures: { observed: now.count, samples, limit: alpha } };
  }
  const prediction = predictCount(comparable);
  const lnMore = lnAtLeast(prediction, now.count);
  const lnFewer = lnAtMost(prediction, now.count);
  const tooMany = now.count >= floor && lnMore <= Math.log(alpha);
  const tooFew = prediction.mean >= floor && lnFewer <= Math.log(alpha);
  const lnP = Math.min(lnMore, lnFewer);
  const { low, high } = shownInterval(prediction);
  return {
    verdict: tooMany || tooFew ? 'fail' : 'pass',
    rule,
    reason:
      `${rule}: ${figure(now.count)} planned where ${figure(prediction.mean)} ` +
      `(${figure(low)}–${figure(high)}) were expected from ${samples} runs; ` +
      `chance ${chance(lnP)}, limit ${chance(Math.log(alpha))}`,
    figures: {
      observed: now.count,
      expected: prediction.mean,
      low,
      high,
      samples,
      p: Math.exp(lnP),
      limit: alpha,
    },
    ...(tooFew && { worth: 'hold' }),
  };
}

function shownInterval(prediction: CountPrediction): { low: number; high: number } {
  return {
    low: unlikelyUpTo(prediction, OUTSIDE_SHOWN / 2) + 1,
    high: unlikelyFrom(prediction, OUTSIDE_SHOWN / 2) - 1,
  };
}
