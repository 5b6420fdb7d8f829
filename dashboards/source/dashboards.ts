import type { Dashboard } from './dashboard.js';

/** Series of the regions that are chosen. */
const HERE = 'job=~"$job",region=~"$region"';
const JOB = 'job=~"$job"';

const GATE_STATES = { 1: ['open', 'green'], 2: ['held', 'orange'], 3: ['killed', 'red'] } as const;
/** A gate's state as one number, so that it can be drawn over time. */
const GATE_STATE = ['open', 'held', 'killed']
  .map(
    (state, at) =>
      `${at + 1} * (max by (job, region) (portcullis_gate_state{${HERE},state="${state}"}) == 1)`,
  )
  .join(' or ');

const quantile = (q: number, metric: string, by: string, labels: string): string =>
  `histogram_quantile(${q}, sum by (le, ${by}) (rate(${metric}_bucket{${labels}}[$__rate_interval])))`;

const rollout: Dashboard = {
  uid: 'portcullis-rollout',
  title: 'Rollout',
  description: 'Which version may act where, and what the next step waits for.',
  panels: [
    {
      kind: 'lines',
      title: 'Share by region',
      description:
        'The share of organisations for which each version may act. A step up comes only on evidence; a drop to zero is a version withdrawn.',
      unit: 'percentunit',
      max: 1,
      queries: [{ expr: `portcullis_rollout_share{${HERE}}`, legend: '{{region}} {{version}}' }],
      empty: 'no rollout is under way',
    },
    {
      kind: 'states',
      title: 'Gates',
      description: 'Each gate over time. Killed stays killed until two people re-arm it.',
      unit: 'none',
      states: GATE_STATES,
      queries: [{ expr: GATE_STATE, legend: '{{job}} {{region}}' }],
      empty: 'no gate has been seen yet',
    },
    {
      kind: 'bars',
      title: 'Bake',
      description:
        'How much of each kind of evidence the current step has: runs, changes and minutes. All must be full before the next.',
      unit: 'percentunit',
      max: 1,
      queries: [{ expr: `portcullis_rollout_bake_progress{${JOB}}`, legend: '{{job}} {{measure}}' }],
      empty: 'nothing is baking',
      width: 8,
    },
    {
      kind: 'figure',
      title: 'Age of the step',
      description:
        'How long ago a rollout last gave a region another share. Long is fine while the bake fills; else see what holds it: portcullis rollout status.',
      unit: 's',
      queries: [{ expr: `max by (job) (portcullis_rollout_step_age_seconds{${JOB}})`, legend: '{{job}}' }],
      empty: 'no rollout',
      width: 8,
    },
    {
      kind: 'figure',
      title: 'Approvals that wait',
      description: 'Requests that a second person has to decide: portcullis approvals --state pending.',
      unit: 'short',
      thresholds: [{ from: 1, colour: 'orange' }],
      queries: [{ expr: 'max(portcullis_approvals_waiting)', legend: 'waiting' }],
      empty: 'not known',
      width: 8,
    },
    {
      kind: 'lines',
      title: 'Changes by version',
      description: 'Changes applied by each version: how much evidence a candidate really gathers.',
      unit: 'ops',
      stacked: true,
      queries: [
        {
          expr: `sum by (version) (rate(portcullis_changes_total{${HERE},stage="applied"}[$__rate_interval]))`,
          legend: '{{version}}',
        },
      ],
      empty: 'nothing was applied',
    },
    {
      kind: 'lines',
      title: 'Bad outcomes',
      description:
        'What products report, such as failed log-ins, by region. The guard compares cohorts; here the plain number.',
      unit: 'ops',
      queries: [
        {
          expr: `sum by (region) (rate(portcullis_outcomes_total{${HERE}}[$__rate_interval]))`,
          legend: '{{region}}',
        },
      ],
      empty: 'no bad outcome was reported',
    },
  ],
};

const runs: Dashboard = {
  uid: 'portcullis-runs',
  title: 'Runs',
  description: 'What runs plan and change, against what was expected of them.',
  panels: [
    {
      kind: 'lines',
      title: 'Claims planned, and the band expected',
      description:
        'Changes of kind claim that the last run planned, beside the figures that the count rule judges by.',
      unit: 'short',
      queries: [
        {
          expr: `sum by (region) (portcullis_run_changes{${HERE},kind="claim",stage="planned"})`,
          legend: '{{region}} planned',
        },
        {
          expr: `max by (region, measure) (portcullis_guard_evidence{${HERE},measure=~"expected|observed"})`,
          legend: '{{region}} {{measure}}',
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
      title: 'Duration',
      description: 'Half of the runs end within p50, nearly all within p95.',
      unit: 's',
      queries: [
        { expr: quantile(0.5, 'portcullis_run_duration_seconds', 'region', HERE), legend: '{{region}} p50' },
        { expr: quantile(0.95, 'portcullis_run_duration_seconds', 'region', HERE), legend: '{{region}} p95' },
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
          expr: `sum by (phase) (rate(portcullis_run_phase_duration_seconds_sum{${HERE}}[$__rate_interval])) / sum by (phase) (rate(portcullis_run_phase_duration_seconds_count{${HERE}}[$__rate_interval]))`,
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

const killSwitch: Dashboard = {
  uid: 'portcullis-kill-switch',
  title: 'Kill switch',
  description: 'What would stop a bad run, and how fast it did.',
  panels: [
    {
      kind: 'lines',
      title: 'Trips',
      description: 'Rules that failed and dropped a gate.',
      unit: 'short',
      queries: [
        {
          expr: `sum by (region, rule) (increase(portcullis_guard_trips_total{${HERE}}[$__rate_interval]))`,
          legend: '{{region}} {{rule}}',
        },
      ],
      empty: 'no rule has tripped',
    },
    {
      kind: 'lines',
      title: 'Time to detect and to fence',
      description:
        'From the first bad change to the trip, and from the trip to a gate through which nothing commits.',
      unit: 's',
      queries: [
        {
          expr: 'histogram_quantile(0.95, sum by (le, stage) (rate(portcullis_guard_trip_seconds_bucket[$__rate_interval])))',
          legend: '{{stage}} p95',
        },
      ],
      empty: 'no rule has tripped',
    },
    {
      kind: 'lines',
      title: 'Permits',
      description:
        'Time until each gate’s permit lapses if nobody renews it. It saws up and down; at zero the gate is closed.',
      unit: 's',
      queries: [{ expr: `portcullis_gate_permit_remaining_seconds{${HERE}}`, legend: '{{job}} {{region}}' }],
      empty: 'no gate has a permit',
    },
    {
      kind: 'lines',
      title: 'Age of the flags',
      description:
        'Time since the flag source was last heard from. Beyond the policy’s maxAge every gate closes: docs/runbooks/flag-source-down.md.',
      unit: 's',
      queries: [{ expr: 'max by (source) (portcullis_flag_age_seconds)', legend: '{{source}}' }],
      empty: 'no process has a flag source',
    },
    {
      kind: 'lines',
      title: 'Verdicts',
      description: 'What the rules said. no-data and unreachable hold, and are neither success nor failure.',
      unit: 'short',
      stacked: true,
      queries: [
        {
          expr: `sum by (verdict) (increase(portcullis_guard_verdicts_total{${HERE}}[$__rate_interval]))`,
          legend: '{{verdict}}',
        },
      ],
      empty: 'no rule was asked',
    },
    {
      kind: 'lines',
      title: 'Evidence against a candidate (ln E)',
      description:
        'The natural logarithm of each outcome rule’s E value. It trips at ln(1/α): 4.6 for an α of 1 %.',
      unit: 'none',
      queries: [{ expr: `portcullis_guard_evidence{${HERE},measure="lnE"}`, legend: '{{region}} {{rule}}' }],
      empty: 'no outcome rule has evidence',
    },
    {
      kind: 'lines',
      title: 'How surprising the last plans were (p)',
      description: 'The chance that the count rule gives a plan as large as the last. It trips at its α.',
      unit: 'none',
      queries: [{ expr: `portcullis_guard_evidence{${HERE},measure="p"}`, legend: '{{region}} {{rule}}' }],
      empty: 'no count rule was asked',
    },
    {
      kind: 'lines',
      title: 'Notifications',
      description: 'Deliveries that wait, and that were given up: portcullis notifications list.',
      unit: 'short',
      queries: [{ expr: 'max by (state) (portcullis_notification_backlog)', legend: '{{state}}' }],
      empty: 'nothing was to be delivered',
    },
  ],
};

const incident: Dashboard = {
  uid: 'portcullis-incident',
  title: 'Incident',
  description: 'What is going wrong now, how much it hit, and how far the way back is.',
  panels: [
    {
      kind: 'figure',
      title: 'Incidents that are not closed',
      description:
        'By state. Open means that the job may still write somewhere: portcullis incident list --unclosed.',
      unit: 'short',
      thresholds: [{ from: 1, colour: 'red' }],
      queries: [{ expr: `sum by (state) (portcullis_incidents{${JOB}})`, legend: '{{state}}' }],
      empty: 'no control plane is scraped',
    },
    {
      kind: 'figure',
      title: 'The oldest that is not put right',
      description: 'When it was opened.',
      unit: 'dateTimeFromNow',
      queries: [
        {
          expr: `1000 * (min by (job) (portcullis_incident_oldest_timestamp_seconds{${JOB}} > 0))`,
          legend: '{{job}}',
        },
      ],
      empty: 'all is well',
    },
    {
      kind: 'figure',
      title: 'Organisations hit',
      description: 'Organisations for whom an incident that is not closed has changed a row.',
      unit: 'short',
      thresholds: [
        { from: 1, colour: 'orange' },
        { from: 10, colour: 'red' },
      ],
      queries: [{ expr: `sum by (job) (portcullis_incident_organisations{${JOB}})`, legend: '{{job}}' }],
      empty: 'no control plane is scraped',
      width: 8,
    },
    {
      kind: 'figure',
      title: 'Restored',
      description: 'Rows put back, of those that incidents which are not closed have changed.',
      unit: 'percentunit',
      queries: [{ expr: `job:portcullis_incident_restored:ratio{${JOB}}`, legend: '{{job}}' }],
      empty: 'nothing was changed',
      width: 8,
    },
    {
      kind: 'figure',
      title: 'Left alone',
      description:
        'Rows that a restore did not touch, because others had since. Each is for a person: portcullis restore ID --dry-run --conflicts report.',
      unit: 'short',
      thresholds: [{ from: 1, colour: 'orange' }],
      queries: [
        { expr: `sum by (job) (portcullis_incident_rows{${JOB},measure="conflicting"})`, legend: '{{job}}' },
      ],
      empty: 'no control plane is scraped',
      width: 8,
    },
    {
      kind: 'lines',
      title: 'Rows changed and put back',
      description: 'The two meet when everything is put back but for what was left alone.',
      unit: 'short',
      queries: [
        { expr: `sum by (job, measure) (portcullis_incident_rows{${JOB}})`, legend: '{{job}} {{measure}}' },
      ],
      empty: 'no control plane is scraped',
    },
    {
      kind: 'states',
      title: 'Gates',
      description: 'Each gate over time, to see what is still open.',
      unit: 'none',
      states: GATE_STATES,
      queries: [{ expr: GATE_STATE, legend: '{{job}} {{region}}' }],
      empty: 'no gate has been seen yet',
    },
  ],
};

/** Every dashboard there is. */
export const DASHBOARDS: readonly Dashboard[] = [rollout, runs, killSwitch, incident];
