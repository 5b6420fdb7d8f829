import type { RateOf } from '../flags/guard-policy.js';
import { chance, figure } from './in-words.js';
import { logMeanExp, logOnePlusExp, logSumExp } from './log-sum.js';
import type { Judged } from '../containment/verdict.js';

/** How much worse than usual a rate may be: each is a bet of its own, and all are held at once. */
const RATIOS = [1.5, 2.5, 6, 25];

/** Some batches in a row, and the logarithm of their likelihood ratio. */
interface Stretch extends Pick<RateState, 'changes' | 'events'> {
  readonly ln: number;
}

const NOTHING_YET: Stretch = { changes: 0, events: 0, ln: 0 };

/** Above this usual rate there is no room to be worse. */
const HIGHEST_USUAL = 0.5;

export interface RateOptions {
  /** The rule's name in the policy. */
  readonly rule: string;
  /** What its events are, for the words; without it, errors. */
  readonly of?: RateOf;
  /** How often a healthy run may be told to be none: a chance, above 0 and below 1. */
  readonly alpha: number;
  /** The usual share of events among changes, from 0 to 1: see usualRate. 0: one event fails. */
  readonly p0: number;
  /** The batches that the plan makes. */
  readonly plannedBatches: number;
}

/** What is known after some batches: plain JSON. */
export interface RateState extends RateOptions {
  readonly batches: number;
  readonly changes: number;
  readonly events: number;
  /** For each ratio the logarithm of the likelihood ratio since the start. */
  readonly sinceStart: readonly number[];
  /** For each ratio ln(1 + e^R), R the Shiryaev–Roberts sum: it begins again before each batch. */
  readonly sinceAny: readonly number[];
  /** For each ratio what came since the batch at which it went bad, if it did. Absent from a state of before this was kept. */
  readonly latest?: readonly Stretch[];
  /** The verdict `fail`, once it is given, with its reason: it stays. */
  readonly failed: Judged | null;
}

export interface RateBatch {
  /** Changes tried. */
  readonly n: number;
  /** Events among them: conflicts, refusals or errors. */
  readonly x: number;
}

/**
 * The usual rate for startRate: the acceptable rate from the policy, or the upper end of what accepted runs
 * had (Wilson's bound with continuity correction, 97.5 %), whichever is greater. A policy that accepts none
 * means none, whatever there was.
 */
export function usualRate(
  acceptable: number,
  accepted: { readonly changes: number; readonly events: number },
): number {
  const { changes, events } = accepted;
  if (acceptable === 0 || changes === 0) return acceptable;
  return Math.min(1, Math.max(acceptable, (events + 1.92 + 1.96 * Math.sqrt(events + 0.96)) / changes));
}

/** The state before the first batch. Throws RangeError for options that mean nothing. */
export function startRate(options: RateOptions): RateState {
  const { rule, of = 'errors', alpha, p0, plannedBatches } = options;
  if (!(alpha > 0 && alpha < 1)) throw new RangeError(`alpha is a chance between 0 and 1, not ${alpha}`);
  if (!(p0 >= 0 && p0 <= 1)) throw new RangeError(`p0 is a share from 0 to 1, not ${p0}`);
  if (!(Number.isSafeInteger(plannedBatches) && plannedBatches >= 1)) {
    throw new RangeError(`plannedBatches is a whole number from 1, not ${plannedBatches}`);
  }
  return {
    ...{ rule, of, alpha, p0, plannedBatches },
    ...{ batches: 0, changes: 0, events: 0 },
    sinceStart: RATIOS.map(() => 0),
    sinceAny: RATIOS.map(() => 0),
    latest: RATIOS.map(() => NOTHING_YET),
    failed: null,
  };
}

/**
 * Takes a batch in and judges: valid after each batch, however many are looked at (docs/reference/guard.md). Half of
 * the wealth bets that the run was bad from the start (an e-process), half that it went bad at some batch
 * (Shiryaev–Roberts; Shin, Ramdas and Rinaldo, "E-detectors"). A state that has failed stays failed. Figures:
 * observed and expected events, samples (changes), p0, lnE, limit. Pure. Throws RangeError unless 0 ≤ x ≤ n.
 */
export function stepRate(state: RateState, batch: RateBatch): { state: RateState; judged: Judged } {
  const { n, x } = batch;
  if (!(x >= 0 && x <= n && Number.isSafeInteger(n) && Number.isSafeInteger(x))) {
    throw new RangeError(`a batch has whole numbers with 0 ≤ x ≤ n, not n ${n}, x ${x}`);
  }
  const batches = state.batches + 1;
  const planned = state.plannedBatches;
  const increments = lnLikelihoodRatios(state.p0, batch);
  const sinceStart = state.sinceStart.map((sum, ratio) => sum + (increments[ratio] ?? 0));
  const latest = state.latest?.map((stretch, ratio) => {
    const { changes, events, ln } = stretch.ln > 0 ? stretch : NOTHING_YET;
    return { changes: changes + n, events: events + x, ln: ln + (increments[ratio] ?? 0) };
  });
  const shiryaevRoberts = state.sinceAny.map((sum, ratio) => sum + (increments[ratio] ?? 0));
  const counted = {
    ...state,
    batches,
    changes: state.changes + n,
    events: state.events + x,
    sinceStart,
    ...(latest && { latest }),
    // No bet begins after the last planned batch: what there is goes on, and stays fair.
    sinceAny: batches < planned ? shiryaevRoberts.map(logOnePlusExp) : shiryaevRoberts,
  };
  if (state.failed !== null) return { state: counted, judged: state.failed };
  const toCome = Math.max(0, planned - batches);
  const lnE =
    logSumExp([
      logMeanExp(sinceStart),
      logSumExp([logMeanExp(shiryaevRoberts), Math.log(toCome)]) - Math.log(planned),
    ]) - Math.LN2;
  const judged = judge(counted, lnE);
  return { state: judged.verdict === 'fail' ? { ...counted, failed: judged } : counted, judged };
}

function lnLikelihoodRatios(p0: number, { n, x }: RateBatch): number[] {
  if (p0 === 0 || p0 > HIGHEST_USUAL) return RATIOS.map(() => 0);
  return RATIOS.map((ratio) => {
    const p = Math.min(0.999, ratio * p0);
    return x * Math.log(p / p0) + (n - x) * (Math.log1p(-p) - Math.log1p(-p0));
  });
}

/** What became of so many changes. */
const BECAME: Readonly<Record<RateOf, string>> = {
  conflicts: 'conflicted',
  refusals: 'were refused',
  errors: 'went wrong',
};

/** All batches; of a rate that fails those since it went bad, by the ratio that fits best. */
function compared(state: RateState, fails: boolean): Pick<RateState, 'changes' | 'events'> {
  const [first, ...others] = fails ? (state.latest ?? []) : [];
  return first ? others.reduce((best, each) => (each.ln > best.ln ? each : best), first) : state;
}

function judge(state: RateState, lnE: number): Judged {
  const { rule, of = 'errors', alpha, p0 } = state;
  const fails = p0 > 0 && p0 <= HIGHEST_USUAL && lnE >= -Math.log(alpha);
  const { changes, events } = compared(state, fails);
  const expected = changes * p0;
  const last = changes < state.changes ? 'the last ' : '';
  const seen = `${rule}: ${figure(events)} of ${last}${figure(changes)} changes ${BECAME[of]}`;
  if (p0 === 0) {
    return {
      verdict: events > 0 ? 'fail' : 'pass',
      rule,
      reason: `${seen}; none is allowed`,
      figures: { observed: events, expected: 0, samples: changes, p0, limit: 0 },
    };
  }
  const figures = { observed: events, expected, samples: changes, p0, lnE, limit: -Math.log(alpha) };
  const usual = `${seen}; ${figure(expected)} expected`;
  if (p0 > HIGHEST_USUAL) {
    const reason = `${usual}, which are too many to tell when there are more than usual`;
    return { verdict: 'too-few', rule, reason, figures };
  }
  const reason = `${usual}; chance ${chance(Math.min(0, -lnE))} at most, limit ${chance(Math.log(alpha))}`;
  return { verdict: fails ? 'fail' : 'pass', rule, reason, figures };
}
