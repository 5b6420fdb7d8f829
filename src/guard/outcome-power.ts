import { logMeanExp } from './log-sum.js';
import { RATIOS } from './outcome.js';

/** What an `outcome` rule can find in one step of a rollout. */
export interface OutcomePower {
  readonly rule: string;
  /** How many times as bad the candidate is supposed to be. */
  readonly factor: number;
  /**
   * `found`: after about so many events; `missed`: not this fault, as a rule; `nothing`: no fault, however bad: even if
   * every unit of the candidate failed first, the evidence would not do.
   */
  readonly finds: 'found' | 'missed' | 'nothing';
  /** Units with their first bad outcome until then, of both versions; null unless found. */
  readonly events: number | null;
  /** The days that these take; null unless found, or where the base rate is not known. */
  readonly days: number | null;
}

export interface OutcomeStep {
  /** Units that the candidate has, and that the stable version has. */
  readonly candidates: number;
  readonly others: number;
  /** The chance of a unit of the stable version to have its first bad outcome on a day; absent: not known. */
  readonly perUnitDay?: number | undefined;
}

export interface PoweredRule {
  readonly name: string;
  readonly alpha: number;
  readonly tolerance: number;
  /** How many regions share alpha. */
  readonly regions: number;
}

/** A large step is walked through in so many strides at most. */
const STRIDES = 20_000;

/**
 * After how many events a fault of `factor` times the base rate is found. Pure.
 *
 * The walk is the expected one (Wald, *Sequential Analysis*, 1947: the evidence grows by its mean drift; Kurtz, 1970,
 * for the limit in which shares of a population follow their means). With n and m units at risk of the candidate and
 * the stable version, an event is the candidate's with the chance q = f n / (f n + m), and for each bet ρ
 *
 *     S_ρ += q ln ρ − ln(1 + θ'(ρ − 1))      θ' = θ r / (1 − θ + θ r), θ = n / (n + m), r the tolerance
 *     n −= q,  m −= 1 − q,  days += 1 / (base rate × (f n + m))
 *
 * until ln mean e^S reaches ln(regions / alpha): where all units are many, after (ln(regions/alpha) + ln 4) / max drift
 * events. Where the units run out before, the fault is missed. `nothing` is no mean but a bound: the evidence of all the
 * candidate's units' failing before any other is the most that there can be.
 *
 * It supposes that the cohorts' changes are of one age, since outcomes are compared within ages: it is the best case.
 */
export function outcomePower(rule: PoweredRule, step: OutcomeStep, factor = 2): OutcomePower {
  const of = { rule: rule.name, factor };
  if (!mayFind(rule, step)) return { ...of, finds: 'nothing', events: null, days: null };
  const events = eventsUntil(rule, step, factor);
  if (events === undefined) return { ...of, finds: 'missed', events: null, days: null };
  const { perUnitDay } = step;
  const known = perUnitDay !== undefined && perUnitDay > 0;
  return { ...of, finds: 'found', events: events.events, days: known ? events.unitDays / perUnitDay : null };
}

function limitOf({ alpha, regions }: PoweredRule): number {
  return Math.log(regions / alpha);
}

/** By how much an event that is the candidate's with the chance `q` moves each bet. */
function drifts(q: number, theta: number, tolerance: number): number[] {
  const share = (theta * tolerance) / (1 - theta + theta * tolerance);
  return RATIOS.map((ratio) => q * Math.log(ratio) - Math.log1p(share * (ratio - 1)));
}

function mayFind(rule: PoweredRule, { candidates, others }: OutcomeStep): boolean {
  if (others <= 0) return false;
  let sums = RATIOS.map(() => 0);
  for (let left = candidates; left > 0; left -= 1) {
    const by = drifts(1, left / (left + others), rule.tolerance);
    sums = sums.map((sum, at) => sum + (by[at] ?? 0));
    if (logMeanExp(sums) >= limitOf(rule)) return true;
  }
  return false;
}

function eventsUntil(
  rule: PoweredRule,
  { candidates, others }: OutcomeStep,
  factor: number,
): { readonly events: number; readonly unitDays: number } | undefined {
  const limit = limitOf(rule);
  const stride = Math.max(1, (candidates + others) / STRIDES);
  let [n, m] = [candidates, others];
  let sums = RATIOS.map(() => 0);
  let [events, unitDays] = [0, 0];
  // Of less than one unit, nothing can be compared.
  while (n >= 0.5 && m >= 0.5) {
    const hazard = factor * n + m;
    const q = (factor * n) / hazard;
    const by = drifts(q, n / (n + m), rule.tolerance);
    const next = sums.map((sum, at) => sum + stride * (by[at] ?? 0));
    if (logMeanExp(next) >= limit) {
      // The part of the last stride that it takes.
      const [before, after] = [logMeanExp(sums), logMeanExp(next)];
      const part = stride * ((limit - before) / (after - before));
      return { events: events + part, unitDays: unitDays + part / hazard };
    }
    sums = next;
    events += stride;
    unitDays += stride / hazard;
    n -= stride * q;
    m -= stride * (1 - q);
  }
  return undefined;
}
