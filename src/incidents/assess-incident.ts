import type pg from 'pg';
import { lockAudit, recordAudit } from '../audit/record.js';
import { hasBreakGlass } from '../flags/break-glass.js';
import { unitLabelOf } from '../flags/policy-store.js';
import type { UnitLabel } from '../kernel/words.js';
import { inTransaction } from '../postgres/pool.js';
import { findIncident } from './browse-incidents.js';
import { hasDamage, type Incident } from './incident.js';
import { askExtent, extentOfIncident, type ExtentIn, type IncidentExtent } from './incident-extent.js';
import { impactOfIncident, type IncidentImpact } from './incident-impact.js';
import {
  runsOfIncident,
  writers,
  type IncidentRun,
  type IncidentRuns,
  type PoolOf,
} from './incident-runs.js';
import { mayFollow } from './incident-states.js';
import { SEVERITIES, severityOf, type Severity } from './severity.js';
import { uncheckedSteps, type UncheckedStep } from './unchecked-steps.js';
import { type BreakGlass, listBreakGlass } from '../flags/browse-break-glass.js';

/** An incident with its runs, as they are now. */
export interface IncidentSeen extends IncidentRuns {
  readonly incident: Incident;
}

/** … and what they changed. */
export interface Assessment extends IncidentSeen {
  readonly impact: IncidentImpact;
  /** What people are told that the job's units are. */
  readonly unitLabel: UnitLabel;
  /** Steps of the version's rollout that nobody checked. */
  readonly unchecked: readonly UncheckedStep[];
  /** The break-glass that the version ever had in its regions, newest first. */
  readonly breakGlass: readonly BreakGlass[];
}

/** … and how much that is. */
export interface Tended extends IncidentSeen {
  readonly extent: IncidentExtent;
}

/** Looks at an incident's runs. Writes nothing. Throws INCIDENT_UNKNOWN. */
export async function seeIncident(control: pg.Pool, poolOf: PoolOf, id: string): Promise<IncidentSeen> {
  const incident = await findIncident(control, id);
  return { incident, ...(await runsOfIncident(poolOf, incident)) };
}

async function breakGlassOf(
  control: pg.Pool,
  { job, version, regions }: Incident,
): Promise<readonly BreakGlass[]> {
  if (version === null || !(await hasBreakGlass(control))) return [];
  const all = await listBreakGlass(control, { job, version });
  return all.filter((each) => regions.some(({ region }) => region === each.region));
}

/**
 * Looks at an incident's runs and impact. Its severity is as they are now, also where nobody has kept that yet. Writes
 * nothing. Throws INCIDENT_UNKNOWN.
 */
export async function examineIncident(control: pg.Pool, poolOf: PoolOf, id: string): Promise<Assessment> {
  const { incident, runs, silent } = await seeIncident(control, poolOf, id);
  const found = await impactOfIncident(poolOf, incident, runs);
  const severity = severityNow(incident, found.impact);
  const unchecked = await uncheckedSteps(control, incident);
  const breakGlass = await breakGlassOf(control, incident);
  const unitLabel = await unitLabelOf(control, incident.job);
  return {
    incident: { ...incident, severity },
    ...{ runs, unitLabel, unchecked, breakGlass, impact: found.impact, silent: [...silent, ...found.silent] },
  };
}

/**
 * Looks at an incident, and keeps what that shows: its severity, which only ever rises; that it is being
 * restored, once a restore of one of its runs is under way; and that it is restored, once every run of it that
 * wrote anything is put back. A region that is silent can be as bad as any, so then it is not called restored.
 */
export async function tendIncident(
  control: pg.Pool,
  poolOf: PoolOf,
  id: string,
  by: string,
  extentIn: ExtentIn = askExtent(poolOf),
): Promise<Tended> {
  const { incident, runs, silent } = await seeIncident(control, poolOf, id);
  const found = await extentOfIncident(extentIn, incident, runs);
  const looked = { incident, runs, extent: found.extent, silent: [...silent, ...found.silent] };
  return { ...looked, incident: await follow(control, looked, by) };
}

/** Keeps what has changed by looking. Answers the incident as it is then. */
async function follow(control: pg.Pool, looked: Tended, by: string): Promise<Incident> {
  const news = newsOf(looked);
  if (news === undefined) return looked.incident;
  return inTransaction(control, async (client) => {
    await lockAudit(client);
    const now = await findIncident(client, looked.incident.id);
    // Somebody has moved it while we looked: the next look tells.
    if (now.state !== looked.incident.state || now.severity !== looked.incident.severity) return now;
    await client.query(
      `update portcullis_control.incident
       set severity = $2, state = $3, restored_at = case when $3 = 'restored' then clock_timestamp() end
       where id = $1`,
      [now.id, news.severity, news.state],
    );
    const { units, rows, restored, restoreConflicts } = looked.extent;
    await recordAudit(client, {
      principal: by,
      action: news.state === now.state ? 'assess-incident' : 'move-incident',
      subject: now.id,
      evidence: {
        ...{ job: now.job, version: now.version, from: now.state, to: news.state, severity: news.severity },
        ...{ units, rows, restored, restoreConflicts },
      },
    });
    return findIncident(client, now.id);
  });
}

/** What has changed by looking; undefined for nothing. */
function newsOf({
  incident,
  extent,
  runs,
  silent,
}: Tended): Pick<Incident, 'severity' | 'state'> | undefined {
  if (incident.state === 'closed') return undefined;
  const severity = severityNow(incident, extent);
  const reached = restoreStateOf(runs);
  const credible = reached !== 'restored' || silent.length === 0;
  const state =
    reached !== undefined && credible && mayFollow(incident.state, reached) ? reached : incident.state;
  return severity === incident.severity && state === incident.state ? undefined : { severity, state };
}

/** The severity, which only ever rises; of a closed incident, and of one without damage, the one that was kept. */
function severityNow(
  incident: Incident,
  { units, rows, cascaded }: Pick<IncidentExtent, 'units' | 'rows' | 'cascaded'>,
): Severity | null {
  if (incident.state === 'closed' || !hasDamage(incident)) return incident.severity;
  return worse(incident.severity, severityOf({ units, rows, cascaded }));
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
