import type { Dashboard } from './dashboard.js';
import { BAD_OUTCOMES, HERE, JOB, gates } from './panels.js';

export const rollout: Dashboard = {
  uid: 'portcullis-rollout',
  title: 'Rollout',
  description: 'Which version may act where, and what the next step waits for.',
  panels: [
    {
      kind: 'lines',
      title: 'Share by region',
      description:
        'The share of units for which each version may act. A step up comes only on evidence; a drop to zero is a version withdrawn.',
      unit: 'percentunit',
      max: 1,
      queries: [
        {
          expr: `max by (job, region, version) (portcullis_rollout_share{${HERE}})`,
          legend: '{{job}} {{region}} {{version}}',
        },
      ],
      empty: 'no rollout is under way',
    },
    gates('Each gate over time. Killed stays killed until two people re-arm it.'),
    {
      kind: 'bars',
      title: 'Bake',
      description:
        'How much of each kind of evidence the current step has: runs, changes and minutes. All must be full before the next.',
      unit: 'percentunit',
      max: 1,
      queries: [
        {
          expr: `max by (job, measure) (portcullis_rollout_bake_progress{${JOB}})`,
          legend: '{{job}} {{measure}}',
        },
      ],
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
      kind: 'figure',
      title: 'Steps that nobody checked',
      description:
        'Steps of the rollouts under way whose bake was skipped. Who asked for it, who approved it and why: portcullis rollout status.',
      unit: 'short',
      thresholds: [{ from: 1, colour: 'orange' }],
      queries: [
        {
          expr: `max by (job, region, version) (portcullis_rollout_skipped_bakes{${HERE}})`,
          legend: '{{job}} {{region}} {{version}}',
        },
      ],
      empty: 'no rollout',
      width: 12,
    },
    {
      kind: 'figure',
      title: 'Break-glass in force',
      description:
        'The share of a region for which a version may act though no rollout has admitted it: two people agreed, or one after an hour. Until when, who and why: portcullis break-glass list --in-force.',
      unit: 'percentunit',
      thresholds: [{ from: 0, colour: 'orange' }],
      queries: [
        {
          expr: `max by (job, region, version) (portcullis_break_glass_share{${HERE}})`,
          legend: '{{job}} {{region}} {{version}}',
        },
      ],
      empty: 'none',
      width: 12,
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
    BAD_OUTCOMES,
  ],
};
