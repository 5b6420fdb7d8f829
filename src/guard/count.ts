import { countOf } from '../kernel/words.js';
import type { CountOf } from '../flags/guard-policy.js';
import type { ComparableRuns } from './count-class.js';
import {
  driftEvidence,
  driftLimit,
  NO_DRIFT,
  stepDrift,
  surpriseOf,
  withoutEvidence,
  type DriftState,
} from './count-drift.js';
import {
  CountHistory,
  LATE_FROM,
  type Comparison,
  type CountedRun,
  type PlacedRun,
} from './count-history.js';
import {
  likelyK,
  lnAtLeast,
  shownInterval,
  tailsOf,
  unlikelyFrom,
  unlikelyUpTo,
  type CountPrediction,
  type Level,
  type Tails,
} from './count-prediction.js';
import { shiftAfter, type Shift } from './count-shift.js';
import type { CountState, UsualCount } from './count-state.js';
import { chance, figure } from './in-words.js';
import type { Figures, Judged, Verdict } from '../containment/verdict.js';

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
  /** The IANA time zone in which the job's day turns; without it, UTC. */
  readonly timeZone?: string;
}

/** One healthy run in four thousand. */
export const DEFAULT_COUNT_ALPHA = 2.5e-4;

/** With fewer runs behind it nothing is said of a count. */
export const FEWEST_RUNS = 3;

const HOUR_MS = 3_600_000;
/**
 * Of a job that runs more often than this, the hours to come of its first day may plan so many times what those
 * before them did: more than a hundredfold between night and noon is rare. Only more is too many.
 */
const DAILY_MS = 23 * HOUR_MS;
const FIRST_DAY_MS = 24 * HOUR_MS;
const FIRST_DAY_TIMES = 100;
/** Sooner nothing is too few, and no level has drifted: a job's weekends would never be learned. */
const FORTNIGHT_MS = 14 * 24 * HOUR_MS;

/** With fewer runs to tell a shifted level, an alarm needs the level before it, too. */
const SHIFT_KNOWN_RUNS = 12;
/** A run this many times as unlikely as a healthy one may be is beyond the limits, and may begin a shift. */
const BEYOND = 4;

/** Missed runs beyond so many are taken to be like these. */
const MOST_MISSED = 3_000;

/** What a count rule says of a run, and what it keeps of it. */
export interface CountJudged extends Judged {
  readonly verdict: Extract<Verdict, 'pass' | 'fail' | 'too-few'>;
  readonly state: CountState;
}

/** What a count is worth: fail, and whether for being far too few. */
type CountVerdict = Pick<CountJudged, 'verdict' | 'worth' | 'state'>;

/**
 * Judges whether a run's planned count is plausible after the accepted runs before it that are comparable with it
 * (docs/reference/guard.md). Too many fails; far too few fails with the worth of a hold; a level that creeps up fails.
 * Pure: the runs and what was kept of them are the state. Figures: observed, expected, low and high (19 of 20
 * healthy runs are between them), comparable (which runs), samples (how many), p, limit; gathered, where the work of
 * several runs had; shifted, where a level has; drift and driftLimit, from a fortnight on; newcomers and
 * plannedForNewcomers, where there are any.
 */
export function judgeCount(
  history: readonly CountedRun[],
  now: CountedRun,
  options: CountOptions,
): CountJudged {
  return judgeAfter(new CountHistory(options.timeZone, history), now, options);
}

/** The same of a history that grows run by run. */
export function judgeAfter(history: CountHistory, now: CountedRun, options: CountOptions): CountJudged {
  return told(decide(history, now, options), now, options);
}

/** A decision with its words and figures, which cost more than the decision. */
export function told(decision: CountDecision, now: CountedRun, options: CountOptions): CountJudged {
  const { verdict, worth, state } = decision;
  const said = decision.expected ? toldOf(decision, now, options) : tooFewTold(decision, now, options);
  return { verdict, rule: options.rule, ...said, ...(worth && { worth }), state };
}

export interface CountDecision extends CountVerdict {
  readonly comparison: Comparison;
  /** What the count was held against; absent where there was nothing to compare with. */
  readonly expected?: Expected;
}

export interface Expected {
  /** Of a run's own work, at the level that holds. */
  readonly own: CountPrediction;
  /** The same of all the work that has gathered; `own` where none has. */
  readonly gathered: CountPrediction;
  readonly shift: Shift | undefined;
  /** The logarithms of the chances of as many or more, and of as many or fewer. */
  readonly lnMore: number;
  readonly lnFewer: number;
  /** Whether too few may hold it: there is history enough, and as many expected. */
  readonly mayHold: boolean;
  readonly drift: DriftState;
  /** It fails by the drift alone. */
  readonly isDrift: boolean;
}

/** What the rule decides, without words. */
export function decide(history: CountHistory, now: CountedRun, options: CountOptions): CountDecision {
  const { alpha, floor } = options;
  const comparison = history.compare(now);
  const last = comparison.newest?.state;
  const before: CountState = {
    usual: null,
    shiftedSince: last?.shiftedSince ?? null,
    drift: last?.drift ?? NO_DRIFT,
    ...(comparison.level > 0 && { level: comparison.level }),
  };
  const { count, units } = now;
  if (comparison.baselineRuns < FEWEST_RUNS || units <= 0)
    return { verdict: 'too-few', comparison, state: before };
  if (isFirstDay(comparison)) return decideOnFirstDay(comparison, now, options, before);
  const own = comparison.class;
  const plain = own.predict(units);
  const shift =
    before.shiftedSince !== null || comparison.hasAccepted
      ? shiftAfter(comparison.latest(), (run) => usualMean(comparison.classOf(run.place), run, units))
      : undefined;
  const level = shift && {
    times: shift.times,
    known: Math.min(1, shift.runs / Math.max(1, own.spread(units).runs)),
  };
  const held = level ? own.predict(units, level) : plain;
  const isLate = comparison.gathered >= LATE_FROM;
  const gathered = isLate ? gatheredPrediction(comparison, now, held.mean / plain.mean || 1) : held;
  const tails = tailsOf(held, count);
  const plainTails = level ? tailsOf(plain, count) : tails;
  const both = shift !== undefined && shift.runs < SHIFT_KNOWN_RUNS ? [tails, plainTails] : [tails];
  const lnGathered = isLate ? lnAtLeast(gathered, count) : -Infinity;
  const lnKnown = Math.max(lnGathered, ...both.map(({ lnMore }) => lnMore));
  const lnAlpha = Math.log(alpha);
  // Looked up only for a count that would trip: it takes longer than all else.
  const withStopped = lnKnown > lnAlpha || level ? undefined : own.predictWithStopped(units, alpha);
  const lnMore = withStopped ? Math.max(lnKnown, lnAtLeast(withStopped, count)) : lnKnown;
  const lnFewer = Math.max(...both.map((each) => each.lnFewer));
  const isKnownLong = comparison.spanMs >= FORTNIGHT_MS;
  const tooMany = count >= floor && lnMore <= lnAlpha;
  const mayHold = isKnownLong && held.mean >= floor;
  const tooFew = mayHold && lnFewer <= lnAlpha;
  const isIdle = count === 0 && held.works !== null;
  const z = surpriseAt(comparison, { held, tails }, now, level);
  const drift = isLate || isIdle ? before.drift : stepDrift(before.drift, z, isKnownLong);
  const drifts = !isLate && !isIdle && count >= floor && z > 0 && driftEvidence(drift) >= driftLimit(alpha);
  const fails = tooMany || tooFew || drifts;
  return {
    verdict: fails ? 'fail' : 'pass',
    ...(tooFew && { worth: 'hold' as const }),
    comparison,
    state: {
      ...before,
      usual: isLate || isIdle ? null : usualOf(plain, plainTails, count, alpha, drifts),
      shiftedSince: shift?.since ?? null,
      drift: fails ? withoutEvidence(drift) : drift,
    },
    expected: {
      own: held,
      gathered,
      shift,
      lnMore,
      lnFewer,
      mayHold,
      drift,
      isDrift: drifts && !tooMany && !tooFew,
    },
  };
}

/**
 * How far out a count is, in spreads, where the level has grown of itself as it does; of a run that works, among those
 * that do: that it works at all would be a surprise each time.
 */
function surpriseAt(
  { class: own, growth }: Comparison,
  { held, tails }: { readonly held: CountPrediction; readonly tails: Tails },
  { count, units }: CountedRun,
  level: Level | undefined,
): number {
  const { times = 1, known = 1 } = level ?? {};
  const isGrown = growth >= GROWS_FROM;
  const prediction = isGrown ? own.predict(units, { times: times * growth, known }) : held;
  const works = prediction.works ?? 1;
  if (prediction.components.length === 0 || (count === 0 && prediction.works !== null)) return 0;
  const { lnMore, chance: exactly } = isGrown ? tailsOf(prediction, count) : tails;
  return surpriseOf(lnMore - Math.log(works), exactly / works);
}

/** Less growth is not worth a second prediction. */
const GROWS_FROM = 1.02;

/** A job that runs more often than daily, and has done so for less than a day. */
export function isFirstDay({ usualMs, spanMs }: Comparison): boolean {
  return usualMs < DAILY_MS && spanMs < FIRST_DAY_MS;
}

/** Too few to compare with, unless even hours that plan a hundred times as much would not plan so many. */
function decideOnFirstDay(
  comparison: Comparison,
  { count, units }: CountedRun,
  { alpha, floor }: CountOptions,
  state: CountState,
): CountDecision {
  const times = FIRST_DAY_TIMES * Math.max(1, comparison.gathered);
  const own = comparison.class.predict(units, { times, known: 1 });
  const lnMore = lnAtLeast(own, count);
  if (count < floor || lnMore > Math.log(alpha)) return { verdict: 'too-few', comparison, state };
  const rest = { shift: undefined, lnFewer: 0, mayHold: false, drift: state.drift, isDrift: false };
  return { verdict: 'fail', comparison, state, expected: { own, gathered: own, lnMore, ...rest } };
}

/** What a run that works is expected to plan: by what one of so many units is, for which classes are summed up. */
function usualMean(of: ComparableRuns, run: PlacedRun, units: number): number {
  const { mean, works } = of.predict(units);
  return run.count === 0 && works !== null ? 0 : (workingMean({ mean, works }) * run.units) / units;
}

function workingMean({ mean, works }: Pick<CountPrediction, 'mean' | 'works'>): number {
  return works === null || works === 0 ? mean : mean / works;
}

function usualOf(
  plain: CountPrediction,
  { lnMore, lnFewer }: Tails,
  count: number,
  alpha: number,
  drifts: boolean,
): UsualCount | null {
  if (plain.components.length === 0) return null;
  const facts = { mean: workingMean(plain), k: likelyK(plain) };
  const p = Math.min(0.25, BEYOND * alpha);
  if (lnMore <= Math.log(p)) return { ...facts, clipped: unlikelyFrom(plain, p) - 1, beyond: 'most' };
  if (lnFewer <= Math.log(p)) return { ...facts, clipped: unlikelyUpTo(plain, p) + 1, beyond: 'least' };
  return { ...facts, clipped: count, beyond: drifts ? 'most' : null };
}

/**
 * What all the runs would have found that failed to come since the last one: the class with the largest part of it
 * predicts, scaled to the whole.
 */
function gatheredPrediction(
  comparison: Comparison,
  { at, due, units }: CountedRun,
  times: number,
): CountPrediction {
  const { gathered, usualMs, classOf, placeOf } = comparison;
  const runs = Math.round(gathered);
  const steps = Math.min(runs, MOST_MISSED);
  const parts = new Map<ComparableRuns, number>();
  let [all, idle] = [0, 1];
  for (let step = 0; step < steps; step += 1) {
    const of = classOf(placeOf(Number(due ?? at) - step * usualMs * (runs / steps)));
    const part = (of.predict(units).mean * runs) / steps;
    parts.set(of, (parts.get(of) ?? 0) + part);
    all += part;
    idle *= (1 - of.works(units)) ** (runs / steps);
  }
  const [largest] = [...parts].sort(([, one], [, other]) => other - one);
  const of = largest?.[0] ?? comparison.class;
  const plain = of.predict(units);
  const works = plain.works === null ? 1 : 1 - idle;
  const size = workingMean(plain) * works;
  return of.predictScaled(units, { times: size > 0 ? Math.max(1, (all * times) / size) : 1, works });
}

function toldOf(
  { comparison, expected, worth }: CountDecision,
  now: CountedRun,
  options: CountOptions,
): Pick<Judged, 'reason' | 'figures'> {
  if (!expected) throw new Error('a count that was compared with nothing');
  const { rule, alpha, of } = options;
  const { gathered: all, own, shift, drift, isDrift } = expected;
  const lnP = Math.min(expected.lnMore, expected.lnFewer);
  const { low, high } = shownInterval(all);
  const samples = comparison.class.runs.length;
  const gathered = Math.round(comparison.gathered);
  const evidence = driftEvidence(drift);
  const units = of === 'units' ? ' for' : '';
  const reason = [
    `${rule}: ${plannedInWords(now, options)}`,
    `${comparison.class.words} plan${units} ${figure(all.mean)} (${figure(low)}–${figure(high)}), ${countOf(samples, 'run')}`,
    ...(gathered > 1 ? [`the work of ${figure(gathered)} runs has gathered`] : []),
    ...(shift ? [shiftInWords(shift)] : []),
    ...(isFirstDay(comparison)
      ? [
          `that is ${FIRST_DAY_TIMES} times what they planned, because less than a day is known and its other hours may differ`,
        ]
      : []),
    `chance ${chance(lnP)}, limit ${chance(Math.log(alpha))}`,
    ...(isDrift
      ? [
          `together the last runs are too many: evidence ${figure(evidence)}, limit ${figure(driftLimit(alpha))}`,
        ]
      : []),
    ...(worth === 'hold'
      ? [
          `a run of ${figure(unlikelyUpTo(own, alpha) + 1)} or more ends the hold, and so does accepting this one`,
        ]
      : []),
    ...apartInWords(now, options),
  ].join('; ');
  return {
    reason,
    figures: {
      observed: now.count,
      expected: all.mean,
      low,
      high,
      comparable: comparison.class.words,
      samples,
      ...(gathered > 1 && { gathered }),
      ...(shift && { shifted: shift.times }),
      ...(evidence > 0 && { drift: evidence, driftLimit: driftLimit(alpha) }),
      p: Math.exp(lnP),
      limit: alpha,
      ...apartFigures(now),
    },
  };
}

function tooFewTold(
  { comparison }: CountDecision,
  now: CountedRun,
  options: CountOptions,
): Pick<Judged, 'reason' | 'figures'> {
  const { rule, alpha } = options;
  const { baselineRuns } = comparison;
  const planned = plannedInWords(now, options);
  const why =
    now.units > 0
      ? baselineRuns < FEWEST_RUNS
        ? `${planned}; ${countOf(baselineRuns, 'run')} before it ${baselineRuns === 1 ? 'is' : 'are'} too few to compare with`
        : `${planned}; ${countOf(baselineRuns, 'run')} before it are of less than a day, which is too little to compare with`
      : (now.apart?.units ?? 0) === 0
        ? `${planned} and no unit admitted, which compares with nothing`
        : 'no unit of the run has a history';
  return {
    reason: [`${rule}: ${why}`, ...apartInWords(now, options)].join('; '),
    figures: { observed: now.count, samples: baselineRuns, limit: alpha, ...apartFigures(now) },
  };
}

/** `4,812 planned`; `planned for 20 units`. */
function plannedInWords({ count }: { readonly count: number }, { of }: CountOptions): string {
  return of === 'units' ? `planned for ${countOf(count, 'unit')}` : `${figure(count)} planned`;
}

function shiftInWords({ since, runs }: Shift): string {
  const day = new Date(since).toISOString().slice(0, 10);
  return `a person accepted a new level on ${day}, which ${countOf(runs, 'run')} since tell`;
}

/** `40 newly admitted units (312 planned) excluded from count rules`; nothing where there are none. */
function apartInWords({ apart }: CountedRun, options: CountOptions): string[] {
  if (!apart || apart.units === 0) return [];
  return [
    `${countOf(apart.units, 'newly admitted unit')} (${plannedInWords(apart, options)}) excluded from count rules`,
  ];
}

function apartFigures({ apart }: CountedRun): Figures {
  return apart && apart.units > 0 ? { newcomers: apart.units, plannedForNewcomers: apart.count } : {};
}
