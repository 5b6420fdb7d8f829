import type { Lines, States } from './panel.js';

/** Series of the job, and of the regions, that are chosen. */
export const JOB = 'job=~"$job"';
export const HERE = `${JOB},region=~"$region"`;

const TRIPS = `portcullis_guard_trips_total{${HERE}}`;

/** The trips of a window of time. A series that is new begins with its trip, in which increase() sees no rise. */
export const tripsWithin = (window: string): string =>
  `sum by (job, region, rule) (increase(${TRIPS}[${window}]) > 0 or (${TRIPS} unless ${TRIPS} offset ${window}) > 0)`;

/** The newest figures of rules: `low|high`. */
export const evidence = (measures: string): string =>
  `portcullis_guard_evidence{${HERE},measure=~"${measures}"}`;

const STATES = { 1: ['open', 'green'], 2: ['held', 'orange'], 3: ['killed', 'red'] } as const;

/** Each gate's state as one number, so that it can be drawn over time. */
export function gates(description: string): States {
  const expr = Object.entries(STATES)
    .map(
      ([number, [state]]) =>
        `${number} * (max by (job, region) (portcullis_gate_state{${HERE},state="${state}"}) == 1)`,
    )
    .join(' or ');
  return {
    kind: 'states',
    title: 'Gates',
    description,
    unit: 'none',
    states: STATES,
    queries: [{ expr, legend: '{{job}} {{region}}' }],
    empty: 'no gate has been seen yet',
  };
}

export const BAD_OUTCOMES: Lines = {
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
};
