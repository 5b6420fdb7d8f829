import { chance, figure } from './in-words.js';
import { logMeanExp } from './log-sum.js';
import type { Judged } from '../containment/verdict.js';

/** How many times as bad as the stable version a candidate may be: a bet on each, a quarter of the wealth. */
export const RATIOS: readonly number[] = [1.5, 2.5, 6, 25];

export interface OutcomeOptions {
  /** The rule's name in the policy. */
  readonly rule: string;
  /** How often a healthy release may be told to be none, over its whole bake: a chance, above 0 and below 1. */
  readonly alpha: number;
  /** How many times as bad may be tolerated, from 1: 1.1. Absent: 1. */
  readonly tolerance?: number;
  /** How many regions share alpha: one region trips at E ≥ regions/alpha. Absent: 1. */
  readonly regions?: number;
}

/** What is known after some looks: plain JSON. */
export interface OutcomeState {
  readonly rule: string;
  readonly alpha: number;
  readonly tolerance: number;
  readonly regions: number;
  /** For each ratio the logarithm of the likelihood ratio. */
  readonly sums: readonly number[];
  /** The units with a bad outcome that could be compared, and how many the candidate should have had. */
  readonly events: number;
  readonly candidateEvents: number;
  readonly expected: number;
  /** Whether there ever were units of both versions. */
  readonly compared: boolean;
  /** The verdict `fail`, once it is given, with its reason: it stays. */
  readonly failed: Judged | null;
}

/** What is new in one stratum (hours since the change) since the last look. A unit is one customer: not one of its rows, whose outcomes come in clusters. */
export interface OutcomeLook {
  /** Organisations with their first bad outcome. */
  readonly newEvents: number;
  /** Those of them that the candidate version changed. */
  readonly candidateEvents: number;
  /** The candidate's share of the organisations that were still at risk just before, 0 to 1. */
  readonly theta: number;
}

/** The state before the first look. Throws RangeError for options that mean nothing. */
export function startOutcome({ rule, alpha, tolerance = 1, regions = 1 }: OutcomeOptions): OutcomeState {
  if (!(alpha > 0 && alpha < 1)) throw new RangeError(`alpha is a chance between 0 and 1, not ${alpha}`);
  if (!(tolerance >= 1 && tolerance < Infinity)) {
    throw new RangeError(`tolerance is a number from 1, not ${tolerance}`);
  }
  if (!(Number.isSafeInteger(regions) && regions >= 1)) {
    throw new RangeError(`regions is a whole number from 1, not ${regions}`);
  }
  return {
    ...{ rule, alpha, tolerance, regions },
    sums: RATIOS.map(() => 0),
    ...{ events: 0, candidateEvents: 0, expected: 0 },
    compared: false,
    failed: null,
  };
}

/**
 * Takes in what is new, a look for each stratum, and judges: valid after each look (docs/reference/guard.md; Lindon
 * and Malek, "Anytime-valid inference for multinomial count data"). Where the candidate is no worse, each new
 * organisation is the candidate's with the chance theta, because the cohort was drawn by a hash: how outcomes
 * cluster within an organisation plays no part. **A cohort picked by hand voids this.** A look with theta 0 or 1
 * compares nothing and is left out; while there is no other, the verdict is `too-few`, and caps and invariants
 * carry the step. A state that has failed stays failed. Figures: observed, expected, samples (organisations),
 * lnE, limit. Pure. Throws RangeError for a look that cannot be.
 */
export function stepOutcome(
  state: OutcomeState,
  looks: readonly OutcomeLook[],
): { state: OutcomeState; judged: Judged } {
  const next = looks.reduce(takeLook, state);
  if (next.failed !== null) return { state: next, judged: next.failed };
  const judged = judge(next);
  return { state: judged.verdict === 'fail' ? { ...next, failed: judged } : next, judged };
}

/** ln E: by how much the bets have grown. */
export function lnEvidence({ sums }: OutcomeState): number {
  return logMeanExp(sums);
}

/**
 * Judges the candidate over all regions together: it fails where the mean of the regions' E reaches 1/alpha,
 * and then everything halts. Regions that do not compare yet bet nothing, and count. Figures: samples (organisations),
 * regions, lnE, limit. It holds no state: whoever acts on a `fail` must make it last.
 */
export function judgeRegions(rule: string, alpha: number, states: readonly OutcomeState[]): Judged {
  const compared = states.filter((state) => state.compared);
  const samples = compared.reduce((sum, { events }) => sum + events, 0);
  const limit = -Math.log(alpha);
  const lnE = states.length === 0 ? 0 : logMeanExp(states.map(lnEvidence));
  const figures = { samples, regions: states.length, lnE, limit };
  if (compared.length === 0) {
    const reason = `${rule}: not enough data to compare the versions in any region; other rules still apply`;
    return { verdict: 'too-few', rule, reason, figures };
  }
  const observed = compared.reduce((sum, { candidateEvents }) => sum + candidateEvents, 0);
  const expected = compared.reduce((sum, state) => sum + state.expected, 0);
  const reason =
    `${rule}: over ${states.length} regions, ${figure(observed)} of ${figure(samples)} units with a bad outcome ` +
    `had the candidate where ${figure(expected)} were expected; ` +
    `chance ${chance(Math.min(0, -lnE))} at most, limit ${chance(Math.log(alpha))}`;
  return {
    verdict: lnE >= limit ? 'fail' : 'pass',
    rule,
    reason,
    figures: { observed, expected, ...figures },
  };
}

/** Takes in what is new in one stratum, without judging. */
export function takeLook(state: OutcomeState, look: OutcomeLook): OutcomeState {
  const { newEvents: k, candidateEvents: x, theta } = look;
  if (!(x >= 0 && x <= k && Number.isSafeInteger(k) && Number.isSafeInteger(x))) {
    throw new RangeError(`a look has whole numbers with 0 ≤ candidateEvents ≤ newEvents, not ${x} of ${k}`);
  }
  if (!(theta >= 0 && theta <= 1)) throw new RangeError(`theta is a share from 0 to 1, not ${theta}`);
  if (theta === 0 || theta === 1) return state;
  const { tolerance } = state;
  const share = (theta * tolerance) / (1 - theta + theta * tolerance);
  return {
    ...state,
    sums: state.sums.map((sum, index) => {
      const ratio = RATIOS[index] ?? 1;
      return sum + x * Math.log(ratio) - k * Math.log1p(share * (ratio - 1));
    }),
    events: state.events + k,
    candidateEvents: state.candidateEvents + x,
    expected: state.expected + k * share,
    compared: true,
  };
}

function judge(state: OutcomeState): Judged {
  const { rule, alpha, regions, events, candidateEvents, expected, compared } = state;
  const lnE = lnEvidence(state);
  const limit = Math.log(regions / alpha);
  const figures = { observed: candidateEvents, expected, samples: events, lnE, limit };
  if (!compared) {
    const reason = `${rule}: not enough data to compare the versions; other rules still apply`;
    return { verdict: 'too-few', rule, reason, figures };
  }
  const reason =
    `${rule}: ${figure(candidateEvents)} of ${figure(events)} units with a bad outcome had the candidate ` +
    `where ${figure(expected)} were expected; chance ${chance(Math.min(0, -lnE))} at most, limit ${chance(-limit)}`;
  return { verdict: lnE >= limit ? 'fail' : 'pass', rule, reason, figures };
}
