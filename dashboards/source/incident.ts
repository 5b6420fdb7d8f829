import type { Dashboard } from './dashboard.js';
import { BAD_OUTCOMES, HERE, JOB, gates } from './panels.js';

export const incident: Dashboard = {
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
      queries: [
        { expr: `sum by (state) (max by (job, state) (portcullis_incidents{${JOB}}))`, legend: '{{state}}' },
      ],
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
      title: 'Units hit',
      description: 'Units, such as organisations, for whom an incident that is not closed has changed a row.',
      unit: 'short',
      thresholds: [
        { from: 1, colour: 'orange' },
        { from: 10, colour: 'red' },
      ],
      queries: [{ expr: `max by (job) (portcullis_incident_units{${JOB}})`, legend: '{{job}}' }],
      empty: 'no control plane is scraped',
      width: 8,
    },
    {
      kind: 'figure',
      title: 'Restored',
      description:
        'Rows put back, or skipped for a person to decide, of those that incidents which are not closed have changed.',
      unit: 'percentunit',
      queries: [{ expr: `job:portcullis_incident_restored:ratio{${JOB}}`, legend: '{{job}}' }],
      empty: 'nothing was changed',
      width: 8,
    },
    {
      kind: 'figure',
      title: 'Skipped',
      description:
        'Rows that a restore did not touch, because others had since. Each is for a person: portcullis restore ID --dry-run --conflicts report.',
      unit: 'short',
      thresholds: [{ from: 1, colour: 'orange' }],
      queries: [
        { expr: `max by (job) (portcullis_incident_rows{${JOB},measure="conflicting"})`, legend: '{{job}}' },
      ],
      empty: 'no control plane is scraped',
      width: 8,
    },
    {
      kind: 'lines',
      title: 'Rows changed and put back',
      description: 'The two meet when everything is put back but for what was skipped.',
      unit: 'short',
      queries: [
        { expr: `max by (job, measure) (portcullis_incident_rows{${JOB}})`, legend: '{{job}} {{measure}}' },
      ],
      empty: 'no control plane is scraped',
    },
    gates('Each gate over time, to see what is still open.'),
    {
      kind: 'lines',
      title: 'Changes still applied',
      description:
        'By region: what runs still change. Nothing where a gate is closed. What a restore puts back is not counted.',
      unit: 'ops',
      stacked: true,
      queries: [
        {
          expr: `sum by (region) (rate(portcullis_changes_total{${HERE},stage="applied"}[$__rate_interval]))`,
          legend: '{{region}}',
        },
      ],
      empty: 'nothing was applied',
    },
    BAD_OUTCOMES,
  ],
};
