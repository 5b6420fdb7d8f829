import type pg from 'pg';
import { lockAudit, recordAudit } from '../audit/record.js';
import { inTransaction } from '../store/pool.js';
import { findIncident } from './browse-incidents.js';
import type { Incident } from './incident.js';
import { askImpact, impactOfIncident, type ImpactIn, type IncidentImpact } from './incident-impact.js';
import {
  runsOfIncident,
  writers,
  type IncidentRun,
  type IncidentRuns,
  type PoolOf,
} from './incident-runs.js';
import { mayFollow } from './incident-states.js';
import { SEVERITIES, severityOf, type Severity } from './severity.js';

/** An incident with its runs and what they changed, as they are now. */
export interface Assessment extends IncidentRuns {
  readonly incident: Incident;
  readonly impact: IncidentImpact;
}

/** Looks at an incident's runs and impact. Writes nothing. Throws INCIDENT_UNKNOWN. */
export async function examineIncident(
  control: pg.Pool,
  poolOf: PoolOf,
  id: string,
  impactIn: ImpactIn = askImpact(poolOf),
): Promise<Assessment> {
  const incident = await findIncident(control, id);
  const { runs, silent } = await runsOfIncident(poolOf, incident);
  const found = await impactOfIncident(impactIn, incident, runs);
  return { incident, runs, impact: found.impact, silent: [...silent, ...found.silent] };
}

/**
 * Looks at an incident, and keeps what that shows: its severity, which only ever rises; that it is being
 * restored, once a restore of one of its runs is under way; and that it is restored, once every run of it that
 * wrote anything is put back. A region that is silent can be as bad as any, so then it is not called restored.
 */
export async function assessIncident(
  control: pg.Pool,
  poolOf: PoolOf,
  id: string,
  by: string,
  impactIn?: ImpactIn,
): Promise<Assessment> {
  const looked = await examineIncident(control, poolOf, id, impactIn);
  const news = newsOf(looked);
  if (news === undefined) return looked;
  const incident = await inTransaction(control, async (client) => {
    await lockAudit(client);
    const now = await findIncident(client, id);
    // Somebody has moved it while we looked: the next look tells.
    if (now.state !== looked.incident.state || now.severity !== looked.incident.severity) return now;
    await client.query(
      `update portcullis_control.incident
       set severity = $2, state = $3, restored_at = case when $3 = 'restored' then clock_timestamp() end
       where id = $1`,
      [now.id, news.severity, news.state],
    );
    const { units: organisations, rows, restored, restoreConflicts } = looked.impact;
    await recordAudit(client, {
      principal: by,
      action: news.state === now.state ? 'assess-incident' : 'move-incident',
      subject: now.id,
      evidence: {
        ...{ job: now.job, version: now.version, from: now.state, to: news.state, severity: news.severity },
        ...{ organisations, rows, restored, restoreConflicts },
      },
    });
    return findIncident(client, id);
  });
  return { ...looked, incident };
}

/** What has changed by looking; undefined for nothing. */
function newsOf({
  incident,
  impact,
  runs,
  silent,
}: Assessment): Pick<Incident, 'severity' | 'state'> | undefined {
  if (incident.state === 'closed') return undefined;
  const severity = worse(incident.severity, severityOf({ organisations: impact.units, rows: impact.rows }));
  const reached = restoreStateOf(runs);
  const credible = reached !== 'restored' || silent.length === 0;
  const state =
    reached !== undefined && credible && mayFollow(incident.state, reached) ? reached : incident.state;
  return severity === incident.severity && state === incident.state ? undefined : { severity, state };
}

/** How far the restores of the runs that wrote are; undefined where none was begun. */
function restoreStateOf(runs: readonly IncidentRun[]): 'restoring' | 'restored' | 'contained' | undefined {
  const restores = writers(runs).map(({ restore }) => restore);
  if (restores.length === 0 || restores.every((restore) => restore === null)) return undefined;
  if (restores.every((restore) => restore?.status === 'succeeded')) return 'restored';
  const last = restores.flatMap((restore) => restore ?? []);
  const ended = last.some(
    ({ status }) => status !== 'succeeded' && status !== 'planning' && status !== 'applying',
  );
  return ended ? 'contained' : 'restoring';
}

function worse(one: Severity | null, other: Severity): Severity {
  const order = SEVERITIES.map(({ severity }) => severity);
  return one === null || order.indexOf(other) < order.indexOf(one) ? other : one;
}
