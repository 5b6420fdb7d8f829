import type pg from 'pg';
import { messageOf } from '../../kernel/errors.js';
import type { Rule, AbsenceRule } from '../../flags/guard-policy.js';
import type { Policy } from '../../flags/policy.js';
import type { OutcomeState } from '../outcome.js';
import { judgeAlerts } from './alerts.js';
import { firingAlerts } from './browse-alerts.js';
import { judgeOutcome, type Candidate } from './judge-outcome.js';
import { fillQuery, judgePromql, type PromqlState, partsOf } from './judge-promql.js';
import { askPrometheus, current, type PrometheusAnswer } from './prometheus.js';
import type { Remembered, RuleJudgement } from './verdicts.js';
import { formatDurationMs } from '../../kernel/duration.js';
import type { Judged } from '../../containment/verdict.js';

/** What a candidate is judged with. */
export interface Bench {
  readonly control: pg.Pool;
  /** The owner's login of the region's database. */
  readonly owner: pg.Pool;
  readonly policy: Policy;
  readonly remembered: ReadonlyMap<string, Remembered>;
  /** The control plane's time. */
  readonly now: Date;
  /** How old an outcome must be before it is read; absent: a little. */
  readonly settleMs?: number | undefined;
}

export interface CandidateJudgement {
  readonly judgements: readonly RuleJudgement[];
  /** How its outcome rules stand, by name. */
  readonly outcomes: ReadonlyMap<string, OutcomeState>;
}

/** For one answer of one Prometheus. */
const PROMETHEUS_MS = 5_000;

/**
 * Asks every bake rule of the policy about a candidate in its region. A rule that does not answer is
 * `unreachable`, and keeps no other from being asked.
 */
export async function judgeCandidate(bench: Bench, candidate: Candidate): Promise<CandidateJudgement> {
  const outcomes = new Map<string, OutcomeState>();
  const asked = bench.policy.guard.rules.map(async (rule): Promise<RuleJudgement | undefined> => {
    try {
      return await judgeRule(bench, candidate, rule, outcomes);
    } catch (error) {
      const reason = `${rule.name}: ${messageOf(error)}`;
      const state = bench.remembered.get(rule.name)?.state ?? {};
      return {
        kind: rule.kind,
        judged: { verdict: 'unreachable', rule: rule.name, reason, figures: {} },
        state,
      };
    }
  });
  const judgements = (await Promise.all(asked)).flatMap((each) => (each === undefined ? [] : [each]));
  return { judgements, outcomes };
}

/** Undefined for a rule that is asked at another stage. */
async function judgeRule(
  bench: Bench,
  candidate: Candidate,
  rule: Rule,
  outcomes: Map<string, OutcomeState>,
): Promise<RuleJudgement | undefined> {
  const { control, owner, policy, now } = bench;
  const { kind } = rule;
  const before = bench.remembered.get(rule.name)?.state ?? {};
  switch (kind) {
    case 'outcome': {
      const { judged, state } = await judgeOutcome(
        owner,
        rule,
        candidate,
        policy.regions.length,
        bench.settleMs,
      );
      outcomes.set(rule.name, state);
      return { kind, judged, state: {} };
    }
    case 'promql': {
      const answers = await askAll(bench, candidate.region, fillQuery(rule.query, candidate));
      const { judged, state } = judgePromql(rule, answers, promqlState(before), now);
      return { kind, judged, state: { ...state } };
    }
    case 'alert': {
      const firing = await firingAlerts(control, candidate.job, candidate.region);
      return { kind, judged: judgeAlerts(rule, firing), state: {} };
    }
    case 'absence': {
      const watchedSince = new Date(textOf(before['watchedSince']) ?? now);
      const judged =
        rule.of === 'scrape'
          ? judgeScrape(
              rule,
              await askAll(bench, candidate.region, scrapeQuery(candidate, rule.longerThanMs)),
              watchedSince,
              now,
            )
          : judgeAbsence(rule, await lastCame(owner, rule.of, candidate), watchedSince, now);
      return { kind, judged, state: { watchedSince: watchedSince.toISOString() } };
    }
    case 'invariant':
    case 'count':
    case 'rate':
      return undefined;
  }
}

/** What every Prometheus of the region answers. */
function askAll({ policy, now }: Bench, region: string, query: string): Promise<PrometheusAnswer[]> {
  const urls = policy.guard.prometheus
    .filter(({ regions }) => regions?.includes(region) ?? true)
    .map(({ url }) => url);
  return Promise.all(urls.map(async (url) => current(await askPrometheus(url, query, PROMETHEUS_MS), now)));
}

function promqlState(state: Readonly<Record<string, unknown>>): PromqlState {
  return { since: textOf(state['since']) ?? null };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

const WHAT = { run: 'run of this version', scrape: 'scrape of Portcullis', outcome: 'outcome' } as const;

/** Judges whether something has not come for too long. Absence is missing data: it holds, and never kills. */
export function judgeAbsence(rule: AbsenceRule, last: Date | null, watchedSince: Date, now: Date): Judged {
  const silentMs = Math.max(0, now.getTime() - Math.max(last?.getTime() ?? 0, watchedSince.getTime()));
  const silence = `${last === null ? 'no' : 'the last'} ${WHAT[rule.of]}`;
  const within = `${formatDurationMs(silentMs)}${last === null ? '' : ' ago'}, limit ${formatDurationMs(rule.longerThanMs)}`;
  return {
    verdict: silentMs > rule.longerThanMs ? 'no-data' : 'pass',
    rule: rule.name,
    reason: `${rule.name}: ${silence}${last === null ? ' for' : ''} ${within}`,
    figures: { observed: silentMs / 1_000, limit: rule.longerThanMs / 1_000 },
  };
}

/** When something last came to a region's database: a run of the version that ended well, or any outcome. */
export async function lastCame(
  owner: pg.Pool,
  of: 'run' | 'outcome',
  { job, region, version }: Candidate,
): Promise<Date | null> {
  const { rows } =
    of === 'run'
      ? await owner.query<{ last: Date | null }>(
          `select max(finished_at) as last from portcullis_region.run
           where job = $1 and region = $2 and version = $3 and status = 'succeeded' and restores is null`,
          [job, region, version],
        )
      : await owner.query<{ last: Date | null }>(
          'select max(received_at) as last from portcullis_region.outcome where job = $1 and region = $2',
          [job, region],
        );
  return rows[0]?.last ?? null;
}

/** Finds something where a Prometheus has scraped a Portcullis that serves the job there within that time. */
export function scrapeQuery({ job, region }: Candidate, longerThanMs: number): string {
  // `job` is Prometheus' own label unless it honours ours, and then ours is exported_job.
  const place = (label: string): string => `portcullis_gate_state{${label}="${job}",region="${region}"}`;
  const range = `[${Math.ceil(longerThanMs / 1_000)}s]`;
  return `count(last_over_time(${place('exported_job')}${range}) or last_over_time(${place('job')}${range}))`;
}

/** Judges by what the Prometheus servers answered to {@link scrapeQuery}. */
export function judgeScrape(
  rule: AbsenceRule,
  answers: readonly PrometheusAnswer[],
  watchedSince: Date,
  now: Date,
): Judged {
  const heard = answers.flatMap((each) => (each.answered ? [each.values.length > 0] : []));
  if (heard.length === 0) {
    const problems = answers.flatMap((each) => (each.answered ? [] : [each.problem]));
    const why =
      problems.length === 0 ? 'the policy names no Prometheus for this region' : problems.join('; ');
    return { verdict: 'unreachable', rule: rule.name, reason: `${rule.name}: ${why}`, figures: {} };
  }
  const parts = partsOf(answers);
  if (!heard.every(Boolean) && parts !== '') {
    const reason = `${rule.name}: the answer is partial: ${parts}`;
    return { verdict: 'unreachable', rule: rule.name, reason, figures: {} };
  }
  if (!heard.every(Boolean)) return judgeAbsence(rule, null, watchedSince, now);
  const reason = `${rule.name}: scraped within ${formatDurationMs(rule.longerThanMs)}`;
  return { verdict: 'pass', rule: rule.name, reason, figures: { limit: rule.longerThanMs / 1_000 } };
}
