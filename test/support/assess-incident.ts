import type pg from 'pg';
import { examineIncident, tendIncident, type Assessment } from '../../src/incidents/assess-incident.js';
import type { PoolOf } from '../../src/incidents/incident-runs.js';

/** Looks at an incident once it is tended, as a process that serves does every few seconds. */
export async function assessIncident(
  control: pg.Pool,
  poolOf: PoolOf,
  id: string,
  by: string,
): Promise<Assessment> {
  await tendIncident(control, poolOf, id, by);
  return examineIncident(control, poolOf, id);
}
