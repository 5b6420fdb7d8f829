import type pg from 'pg';
import type { Metrics } from '../telemetry/metrics.js';
import type { IncidentFigures } from '../telemetry/metrics/incidents.js';
import { tendIncident, type Tended } from './assess-incident.js';
import { listIncidents } from './browse-incidents.js';
import { askExtent, type ExtentIn } from './incident-extent.js';
import type { PoolOf } from './incident-runs.js';
import { INCIDENT_STATES, type IncidentState } from './incident-states.js';

/** More are never unclosed at once: it is one for each job and version. */
const MOST = 200;

/**
 * Looks at every incident that is not closed: severity and state follow what their runs and restores have come
 * to, and the metrics follow them. To be done again and again by a control plane. `jobs` are those that this
 * installation has: without an incident, they show zeros. `extentIn` is best one that remembers.
 */
export async function tendIncidents(
  control: pg.Pool,
  poolOf: PoolOf,
  jobs: readonly string[],
  metrics: Pick<Metrics, 'incidents'>,
  extentIn: ExtentIn = askExtent(poolOf),
): Promise<void> {
  const { items } = await listIncidents(control, { unclosed: true }, { limit: MOST });
  const looked: Tended[] = [];
  for (const { id } of items)
    looked.push(await tendIncident(control, poolOf, id, 'system:incidents', extentIn));
  const affected = new Set([...jobs, ...looked.map(({ incident }) => incident.job)]);
  metrics.incidents(
    [...affected].map((job) =>
      figuresOf(
        job,
        looked.filter(({ incident }) => incident.job === job),
      ),
    ),
  );
}

function figuresOf(job: string, looked: readonly Tended[]): IncidentFigures {
  const states = Object.keys(INCIDENT_STATES) as IncidentState[];
  const unclosed = states.filter((state) => state !== 'closed');
  const sum = (of: (each: Tended) => number): number => looked.reduce((all, each) => all + of(each), 0);
  const hurting = looked.filter(({ incident: { state } }) => state !== 'restored');
  return {
    job,
    states: Object.fromEntries(
      unclosed.map((state) => [state, looked.filter(({ incident }) => incident.state === state).length]),
    ),
    oldestAt: hurting.map(({ incident }) => Date.parse(incident.openedAt)).sort((a, b) => a - b)[0] ?? null,
    units: sum(({ extent }) => extent.units),
    rows: {
      changed: sum(({ extent }) => extent.rows),
      restored: sum(({ extent }) => extent.restored),
      conflicting: sum(({ extent }) => extent.restoreConflicts),
    },
  };
}
