import type pg from 'pg';
import { formatDurationMs } from '../../kernel/duration.js';
import type { AbsenceRule } from '../../flags/guard-policy.js';
import type { Judged } from '../../containment/verdict.js';
import type { Candidate } from './judge-outcome.js';
import { partsOf } from './judge-promql.js';
import type { PrometheusAnswer } from './prometheus.js';

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
