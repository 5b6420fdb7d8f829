import type { Dashboard } from './dashboard.js';
import type { Query } from './panel.js';
import { HERE, evidence, gates, tripsWithin } from './panels.js';

/** What a rule's verdict rests on, and what that is held against. */
const judged = (measure: 'p' | 'lnE', shown = evidence(measure)): Query[] => [
  { expr: shown, legend: '{{region}} {{rule}}' },
  {
    expr: `${evidence('limit')} and on (job, region, rule) ${evidence(measure)}`,
    legend: '{{region}} {{rule}} limit',
  },
];

export const killSwitch: Dashboard = {
  uid: 'portcullis-kill-switch',
  title: 'Kill switch',
  description: 'What would stop a bad run, and how fast it did.',
  panels: [
    gates('Each gate over time: whether the switch is thrown.'),
    {
      kind: 'lines',
      title: 'Trips',
      description: 'Rules that failed and dropped a gate.',
      unit: 'short',
      queries: [{ expr: tripsWithin('$__rate_interval'), legend: '{{region}} {{rule}}' }],
      empty: 'no rule has tripped',
    },
    {
      kind: 'figure',
      title: 'Time to detect and to fence',
      description:
        'From the first bad change to the trip, and from the trip to a gate through which nothing commits: 95 % of the trips in the time shown took no longer.',
      unit: 's',
      queries: [
        {
          expr: 'histogram_quantile(0.95, sum by (le, stage) (increase(portcullis_guard_trip_seconds_bucket[$__range]))) >= 0',
          legend: '{{stage}}',
        },
      ],
      empty: 'no rule has tripped',
      width: 8,
    },
    {
      kind: 'lines',
      title: 'Permits',
      description:
        'Time until each gate’s permit expires if nobody renews it. It saws up and down; at zero the gate is closed.',
      unit: 's',
      queries: [
        {
          expr: `min by (job, region) (portcullis_gate_permit_remaining_seconds{${HERE}})`,
          legend: '{{job}} {{region}}',
        },
      ],
      empty: 'no gate has a permit',
      width: 8,
    },
    {
      kind: 'lines',
      title: 'Age of the flags',
      description:
        'Time since the flag source was last heard from. Beyond the policy’s maxAge every gate closes: docs/runbooks/flag-source-down.md.',
      unit: 's',
      queries: [{ expr: 'max by (source) (portcullis_flag_age_seconds)', legend: '{{source}}' }],
      empty: 'no process has a flag source',
      width: 8,
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
        'The natural logarithm of each outcome rule’s E value. It trips where it reaches its limit, ln(1/α); below zero it speaks for the candidate.',
      unit: 'none',
      scale: 'signed',
      bounds: '/ limit$/',
      queries: judged('lnE'),
      empty: 'no outcome rule has evidence',
    },
    {
      kind: 'lines',
      title: 'How surprising the last plans were (p)',
      description:
        'The chance of a plan as far out as the last. It trips where it falls to its limit, α. What is drawn at 1e-12 may be smaller.',
      unit: 'none',
      scale: 'logarithmic',
      bounds: '/ limit$/',
      queries: judged('p', `clamp_min(${evidence('p')}, 1e-12)`),
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
