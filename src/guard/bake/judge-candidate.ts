import type pg from 'pg';
import { messageOf } from '../../kernel/errors.js';
import type { Rule } from '../../flags/guard-policy.js';
import type { Policy } from '../../flags/policy.js';
import type { OutcomeState } from '../outcome.js';
import { judgeAlerts } from './alerts.js';
import { firingAlerts } from './browse-alerts.js';
import { judgeAbsence, judgeScrape, lastCame, scrapeQuery } from './judge-absence.js';
import { judgeOutcome, type Candidate } from './judge-outcome.js';
import { fillQuery, judgePromql, type PromqlState } from './judge-promql.js';
import { askPrometheus, current, type PrometheusAnswer } from './prometheus.js';
import type { Remembered, RuleJudgement } from './verdicts.js';

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
