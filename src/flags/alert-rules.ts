import { rulesOf, type Spike } from './guard-policy.js';
import type { Policy } from './policy.js';

/**
 * The rules for Prometheus of the alerts that policies describe: one group for each job, with an alert for each rule
 * of kind `alert` that has a `spike`. Labels and annotations are those that the webhook reads, so that the alert kills
 * the gate of the region that it fires for.
 */
export function alertRulesOf(policies: readonly Policy[]): { readonly groups: readonly object[] } {
  const groups = policies.flatMap((policy) => {
    const rules = rulesOf(policy.guard.rules, 'alert').flatMap(({ alerts, spike }) =>
      spike ? [spikeRule(policy.job, alerts?.[0] ?? '', spike)] : [],
    );
    return rules.length === 0 ? [] : [{ name: `portcullis-${policy.job}`, rules }];
  });
  return { groups };
}

/** More than so many times the day's rate, and more than the least: a quiet day's first change is no spike. */
function spikeRule(job: string, alert: string, { change, times, least, forMs, runbook }: Spike): object {
  const rate = (over: string): string =>
    `sum by (job, region) (rate(portcullis_changes_total{job="${job}",kind="${change}",stage="applied"}[${over}]))`;
  return {
    alert,
    expr: `${rate('5m')} > ${times} * ${rate('1d')} and ${rate('5m')} > ${least}`,
    for: `${forMs / 1_000}s`,
    labels: {
      severity: 'critical',
      portcullis_job: '{{ $labels.job }}',
      portcullis_region: '{{ $labels.region }}',
    },
    annotations: {
      summary: `{{ $labels.job }} makes {{ $value | humanize }} changes of kind ${change} a second in {{ $labels.region }}, over ${times} times the rate of the day before`,
      ...(runbook !== undefined && { runbook }),
    },
  };
}
