import { comparableCounts, type ComparableCounts, type CountedRun } from './count-history.js';
import {
  type CountPrediction,
  lnAtLeast,
  lnAtMost,
  predictCount,
  unlikelyFrom,
  unlikelyUpTo,
} from './count-prediction.js';
import { countOf } from '../base/words.js';
import type { CountOf } from '../flags/guard-policy.js';
import { chance, figure } from './in-words.js';
import type { Figures, Judged, Verdict } from './verdict.js';

export interface CountOptions {
  /** The rule's name in the policy. */
  readonly rule: string;
  /** What the counts are of, for the words; without it, changes. */
  readonly of?: CountOf;
  /** How often a healthy run may be told to be none: a chance, above 0. */
  readonly alpha: number;
  /**
   * A smaller count is never too many, and where less is expected none is too few. The same at every share: one
   * unit that comes in whole plans as many changes in a canary as anywhere.
   */
  readonly floor: number;
  /** Whether weekdays may differ; they are heeded only where they do. */
  readonly weekdays?: boolean;
}

/** One healthy run in four thousand. */
export const DEFAULT_COUNT_ALPHA = 2.5e-4;

/** With fewer runs behind it nothing is said of a count. */
export const FEWEST_RUNS = 3;

/** The interval that is shown holds all but this share of healthy runs. */
const OUTSIDE_SHOWN = 0.05;

/** What a count is worth: fail, and whether for being far too few. */
export interface CountVerdict {
  readonly verdict: Extract<Verdict, 'pass' | 'fail' | 'too-few'>;
  readonly worth?: 'hold';
}

/** What judgeCount says, without its words and figures, which cost more than the verdict. */
export function countVerdict(
  history: readonly CountedRun[],
  now: CountedRun,
  options: CountOptions,
): CountVerdict {
  const comparable = comparableCounts(history, now, options);
  if (comparesWithNothing(comparable, now)) return { verdict: 'too-few' };
  return verdictOf(expectedAfter(comparable), now, options);
}

/**
 * Judges whether a run's planned count is plausible after the accepted runs before it: the predictive tail of
 * a negative binomial count whose p and k are unknown (GUARD.md section 1). Too many fails; far too few fails
 * with the worth of a hold. Pure; no state: the history is the state. Figures: observed, expected, low and
 * high (19 of 20 healthy runs are between them), samples, p, limit; gathered, where the work of several runs had;
 * newcomers and plannedForNewcomers, where there are any.
 */
export function judgeCount(history: readonly CountedRun[], now: CountedRun, options: CountOptions): Judged {
  const { rule, alpha } = options;
  const planned = plannedInWords(now, options);
  const comparable = comparableCounts(history, now, options);
  const { gathered } = comparable;
  const samples = comparable.counts.length;
  const beside = besideInWords(now, options);
  if (comparesWithNothing(comparable, now)) {
    const why =
      now.units > 0
        ? `${planned}; ${countOf(samples, 'run')} before it ${samples === 1 ? 'is' : 'are'} too few to compare with`
        : beside === ''
          ? `${planned} and no unit admitted, which compares with nothing`
          : 'history knows no unit of the run';
    const figures = { observed: now.count, samples, limit: alpha, ...apartFigures(now) };
    return { verdict: 'too-few', rule, reason: `${rule}: ${why}${beside}`, figures };
  }
  const expected = expectedAfter(comparable);
  const { lnP, ...said } = verdictOf(expected, now, options);
  const { low, high } = shownInterval(expected.most);
  return {
    ...said,
    rule,
    reason:
      `${rule}: ${planned} where ${figure(expected.most.mean)} ` +
      `(${figure(low)}–${figure(high)}) were expected from ${samples} runs` +
      `${gathered > 1 ? `, with the work of ${figure(gathered)} gathered` : ''}; ` +
      `chance ${chance(lnP)}, limit ${chance(Math.log(alpha))}${beside}`,
    figures: {
      observed: now.count,
      expected: expected.most.mean,
      low,
      high,
      ...(gathered > 1 && { gathered }),
      samples,
      p: Math.exp(lnP),
      limit: alpha,
      ...apartFigures(now),
    },
  };
}

/** `4,812 planned`; `planned for 20 units`. */
function plannedInWords({ count }: { readonly count: number }, { of }: CountOptions): string {
  return of === 'units' ? `planned for ${countOf(count, 'unit')}` : `${figure(count)} planned`;
}

/** `; 40 newcomers (312 planned) are not judged by counts`; empty where there are none. */
function besideInWords({ apart }: CountedRun, options: CountOptions): string {
  if (!apart || apart.units === 0) return '';
  const are = apart.units === 1 ? 'is' : 'are';
  return `; ${countOf(apart.units, 'newcomer')} (${plannedInWords(apart, options)}) ${are} not judged by counts`;
}

function apartFigures({ apart }: CountedRun): Figures {
  return apart && apart.units > 0 ? { newcomers: apart.units, plannedForNewcomers: apart.count } : {};
}

function comparesWithNothing({ counts }: ComparableCounts, { units }: CountedRun): boolean {
  return counts.length < FEWEST_RUNS || units <= 0;
}

/** What a count is held against on either side; the same where no run before has failed to come. */
interface Expected {
  /** Of all the work that has gathered: more is too many. */
  readonly most: CountPrediction;
  /** Of one run's work: fewer is too few. A run that is held for that gathers the next one's, and excuses nothing. */
  readonly least: CountPrediction;
}

function expectedAfter(comparable: ComparableCounts): Expected {
  const { counts, gathered } = comparable;
  const least = predictCount(comparable);
  if (gathered === 1) return { most: least, least };
  const all = counts.map(({ count, weight }) => ({ count: count * gathered, weight }));
  return { most: predictCount({ ...comparable, counts: all }), least };
}

/** With the logarithm of the chance of a count as far out, on its side. */
function verdictOf(
  { most, least }: Expected,
  { count }: CountedRun,
  { alpha, floor }: CountOptions,
): CountVerdict & { readonly lnP: number } {
  const lnMore = lnAtLeast(most, count);
  const lnFewer = lnAtMost(least, count);
  const tooMany = count >= floor && lnMore <= Math.log(alpha);
  const tooFew = least.mean >= floor && lnFewer <= Math.log(alpha);
  return {
    verdict: tooMany || tooFew ? 'fail' : 'pass',
    ...(tooFew && { worth: 'hold' }),
    lnP: Math.min(lnMore, lnFewer),
  };
}

function shownInterval(prediction: CountPrediction): { low: number; high: number } {
  return {
    low: unlikelyUpTo(prediction, OUTSIDE_SHOWN / 2) + 1,
    high: unlikelyFrom(prediction, OUTSIDE_SHOWN / 2) - 1,
  };
}
