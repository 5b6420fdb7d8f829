import { formatDurationMs } from '../../kernel/duration.js';
import type { PromqlRule } from '../../flags/guard-policy.js';
import type { Judged } from '../../containment/verdict.js';
import type { PrometheusAnswer } from './prometheus.js';
import type { Candidate } from './judge-outcome.js';

/** Since when a query has been on its wrong side (ISO 8601); null: it is not. */
export interface PromqlState {
  readonly since: string | null;
}

/** Names of jobs and regions, and versions: nothing that could end a string in a query. */
const HARMLESS = /^[\w.+-]+$/;

/** A rule's query with its placeholders filled in. Throws RangeError for a value that could be more than a value. */
export function fillQuery(query: string, candidate: Candidate): string {
  return query.replaceAll(/\{\{\s*(job|region|version)\s*\}\}/g, (_, word: keyof Candidate) => {
    const value = candidate[word];
    if (!HARMLESS.test(value)) throw new RangeError(`${JSON.stringify(value)} cannot stand in a query`);
    return value;
  });
}

/**
 * Judges what the Prometheus servers of a region said. One that is silent is not asked for more where another
 * answers; where they disagree, the worse counts. On its wrong side for less than the rule's `for`, a query is
 * `too-few`: that is neither good nor bad yet. An answer with warnings is partial (Thanos, whose stores do not all
 * answer): it can show that a query is wrong, and never that it is right. So can one with a series that is NaN: that series
 * is evidence of nothing, and the verdict says which. `now` is the database's.
 */
export function judgePromql(
  rule: PromqlRule,
  answers: readonly PrometheusAnswer[],
  before: PromqlState,
  now: Date,
): { readonly judged: Judged; readonly state: PromqlState } {
  const told = (verdict: Judged['verdict'], reason: string, value: number | null = null): Judged => ({
    verdict,
    rule: rule.name,
    reason: `${rule.name}: ${reason}`,
    figures: { observed: value, limit: rule.above ?? rule.below ?? null },
  });
  const heard = answers.flatMap((each) => (each.answered ? [each.values] : []));
  if (heard.length === 0) {
    const problems = answers.flatMap((each) => (each.answered ? [] : [each.problem]));
    const why =
      problems.length === 0 ? 'the policy names no Prometheus for this region' : problems.join('; ');
    // Kept: that nobody answers does not show that it was ever right again.
    return { judged: told('unreachable', why), state: before };
  }
  const worst = worstOf(rule, heard.flat());
  const wrong = worst !== undefined && isWrong(rule, worst);
  // What is found wrong is wrong whatever is missing; a pass needs an answer that is whole.
  const whole = answers.flatMap((each) => (each.answered && each.partial === undefined ? [each.values] : []));
  const nan = nanOf(answers);
  if (!wrong && whole.length === 0) {
    return { judged: told('unreachable', `the answer is partial: ${partsOf(answers)}`), state: before };
  }
  if (!wrong && nan !== undefined) return { judged: told('no-data', nan), state: { since: null } };
  if (!wrong && whole.some((values) => values.length === 0)) {
    const where = whole.length === 1 ? 'the query' : 'on one server the query';
    return { judged: told('no-data', `${where} finds nothing`), state: { since: null } };
  }
  const side = rule.above !== undefined ? `above ${rule.above}` : `below ${rule.below ?? ''}`;
  if (!wrong) return { judged: told('pass', `${worst ?? ''} is not ${side}`, worst), state: { since: null } };
  const since = before.since ?? now.toISOString();
  const lastedMs = now.getTime() - Date.parse(since);
  const lasting =
    rule.forMs === 0 ? '' : ` for ${formatDurationMs(lastedMs)} of ${formatDurationMs(rule.forMs)}`;
  const verdict = lastedMs >= rule.forMs ? 'fail' : 'too-few';
  const beside = nan === undefined ? '' : `; ${nan}`;
  return { judged: told(verdict, `${worst} is ${side}${lasting}${beside}`, worst), state: { since } };
}

const SERIES_NAMED = 5;

/** Which series are NaN, in words; undefined where none is. */
function nanOf(answers: readonly PrometheusAnswer[]): string | undefined {
  const series = [...new Set(answers.flatMap((each) => (each.answered ? (each.nan ?? []) : [])))];
  if (series.length === 0) return undefined;
  const more = series.length > SERIES_NAMED ? ` and ${series.length - SERIES_NAMED} more` : '';
  return `no evidence, since NaN: ${series.slice(0, SERIES_NAMED).join(', ')}${more}`;
}

/** Why answers are partial. */
export function partsOf(answers: readonly PrometheusAnswer[]): string {
  return answers.flatMap((each) => (each.answered ? (each.partial ?? []) : [])).join('; ');
}

function worstOf({ above }: PromqlRule, values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : above === undefined ? Math.min(...values) : Math.max(...values);
}

function isWrong({ above, below }: PromqlRule, value: number): boolean {
  return (above !== undefined && value > above) || (below !== undefined && value < below);
}
