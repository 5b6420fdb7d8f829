import type { Dashboard } from './dashboard.js';
import { HERE, evidence } from './panels.js';

/** Of the runs that ended; where none has, no number. */
const quantile = (q: number): string =>
  `histogram_quantile(${q}, sum by (le, region) (rate(portcullis_run_duration_seconds_bucket{${HERE}}[$__rate_interval]))) >= 0`;

export const runs: Dashboard = {
  uid: 'portcullis-runs',
  title: 'Runs',
  description: 'What runs plan and change, against what was expected of them.',
  panels: [
    {
      kind: 'lines',
      title: 'Claims planned, and the band expected',
      description:
        'Changes of kind claim that the last run planned, beside what each count rule expected: 19 of 20 healthy runs are between low and high.',
      unit: 'short',
      bounds: '/ (low|expected|high)$/',
      queries: [
        {
          expr: `max by (job, region) (portcullis_run_changes{${HERE},kind="claim",stage="planned"})`,
          legend: '{{region}} planned',
        },
        {
          // Of count rules, which alone have a p.
          expr: `max by (job, region, rule, measure) (${evidence('low|expected|high')} and on (job, region, rule) ${evidence('p')})`,
          legend: '{{region}} {{rule}} {{measure}}',
        },
      ],
      empty: 'no run has planned a claim yet',
      width: 24,
    },
    {
      kind: 'lines',
      title: 'Changes by kind',
      description: 'Changes applied a second, by kind.',
      unit: 'ops',
      stacked: true,
      queries: [
        {
          expr: `sum by (kind) (rate(portcullis_changes_total{${HERE},stage="applied"}[$__rate_interval]))`,
          legend: '{{kind}}',
        },
      ],
      empty: 'nothing was applied',
    },
    {
      kind: 'lines',
      title: 'Conflicts',
      description:
        'Share of changes that met another value than they were planned on. Some are normal; a rise is somebody else at the same rows, or stale reads.',
      unit: 'percentunit',
      queries: [{ expr: `region:portcullis_conflicts:ratio_rate1h{${HERE}}`, legend: '{{region}}' }],
      empty: 'no change was tried within the hour',
    },
    {
      kind: 'lines',
      title: 'Runs by outcome',
      description: 'Runs that ended, by status. Held is the gate doing its work; failed needs a look.',
      unit: 'short',
      stacked: true,
      queries: [
        {
          expr: `sum by (status) (increase(portcullis_runs_total{${HERE}}[$__rate_interval]))`,
          legend: '{{status}}',
        },
      ],
      empty: 'no run has ended',
    },
    {
      kind: 'lines',
      title: 'Why runs ended',
      description:
        'Runs that ended, by the reason that they gave. portcullis runs show ID has it in words, and what to do.',
      unit: 'short',
      stacked: true,
      queries: [
        {
          expr: `sum by (reason_code) (increase(portcullis_runs_total{${HERE}}[$__rate_interval]))`,
          legend: '{{reason_code}}',
        },
      ],
      empty: 'no run has ended',
    },
    {
      kind: 'lines',
      title: 'Duration',
      description: 'Half of the runs end within p50, nearly all within p95.',
      unit: 's',
      queries: [
        { expr: quantile(0.5), legend: '{{region}} p50' },
        { expr: quantile(0.95), legend: '{{region}} p95' },
      ],
      empty: 'no run has ended',
    },
    {
      kind: 'lines',
      title: 'Where the time goes',
      description: 'Mean time of each phase of a run.',
      unit: 's',
      stacked: true,
      queries: [
        {
          expr: `sum by (phase) (rate(portcullis_run_phase_duration_seconds_sum{${HERE}}[$__rate_interval])) / (sum by (phase) (rate(portcullis_run_phase_duration_seconds_count{${HERE}}[$__rate_interval])) > 0)`,
          legend: '{{phase}}',
        },
      ],
      empty: 'no phase has ended',
    },
    {
      kind: 'lines',
      title: 'DNS answers by class',
      description:
        'What resolvers answered. SERVFAIL and timeouts together are a resolver in trouble, and no proof that a record is gone.',
      unit: 'ops',
      stacked: true,
      queries: [
        {
          expr: 'sum by (class) (rate(portcullis_dns_answers_total[$__rate_interval]))',
          legend: '{{class}}',
        },
      ],
      empty: 'nothing was looked up',
    },
    {
      kind: 'lines',
      title: 'Takeovers',
      description:
        'Runs that another worker took over because their worker was silent. Several in a row: docs/runbooks/stuck-run.md.',
      unit: 'short',
      queries: [
        {
          expr: `sum by (region) (increase(portcullis_lease_takeovers_total{${HERE}}[$__rate_interval]))`,
          legend: '{{region}}',
        },
      ],
      empty: 'no run changed hands',
    },
  ],
};
