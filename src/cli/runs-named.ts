import { seeIncident } from '../incidents/assess-incident.js';
import { requireDamage, type Incident } from '../incidents/incident.js';
import { writers, type SilentRegion } from '../incidents/incident-runs.js';
import { findRunOf, type FoundRun } from '../regions/browse.js';
import type { Installation } from './app-port.js';
import { looksLikeIncident } from '../kernel/short-id.js';

/** The runs that ids on the command line mean. */
export interface RunsNamed {
  readonly runs: readonly FoundRun[];
  /** Incidents among the ids: all their runs that wrote anything are named by them. */
  readonly incidents: readonly Incident[];
  /** Regions of these incidents whose databases could not be asked: their runs are missing. */
  readonly silent: readonly SilentRegion[];
}

/**
 * Finds runs by their own ids, or by their incident's. Throws RUN_UNKNOWN, RUN_AMBIGUOUS,
 * INCIDENT_UNKNOWN, or INCIDENT_STATE for an incident whose damage nobody has named.
 */
export async function runsNamed(
  { control, regionDatabases }: Installation,
  ids: readonly string[],
): Promise<RunsNamed> {
  const runs = new Map<string, FoundRun>();
  const incidents = [];
  const silent = [];
  for (const id of ids) {
    const wanted = [id];
    if (looksLikeIncident(id)) {
      const looked = await seeIncident(control, (region) => regionDatabases.of(region).worker, id);
      requireDamage(looked.incident);
      incidents.push(looked.incident);
      silent.push(...looked.silent);
      wanted.splice(0, 1, ...writers(looked.runs).map((run) => run.id));
    }
    for (const each of wanted) {
      const found = await findRunOf(regionDatabases, each);
      runs.set(found.run.runId, found);
    }
  }
  return { runs: [...runs.values()], incidents, silent };
}
