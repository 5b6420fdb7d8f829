import type pg from 'pg';
import { lockAudit, recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { notify } from '../notify/notice.js';
import { inTransaction } from '../postgres/pool.js';
import { findIncident } from './browse-incidents.js';
import type { Incident } from './incident.js';
import { INCIDENT_STATES, mayFollow, type IncidentState } from './incident-states.js';

/** Why it moves, and who says so. */
export interface IncidentMove {
  readonly by: string;
  readonly reason: string;
  readonly evidence?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Moves an incident along {@link INCIDENT_STATES}, with a line in the audit log. To where it is already it
 * does nothing: of two that say the same, one is recorded. Throws INCIDENT_UNKNOWN, or INCIDENT_STATE where the
 * table has no such step.
 */
export async function moveIncident(
  control: pg.Pool,
  id: string,
  to: Exclude<IncidentState, 'open' | 'closed'>,
  move: IncidentMove,
): Promise<Incident> {
  return step(control, id, async (client, incident) => {
    if (incident.state === to) return;
    requireStep(incident, to);
    await client.query(
      `update portcullis_control.incident
       set state = $2,
           contained_at = coalesce(contained_at, clock_timestamp()),
           restored_at = case when $2 = 'restored' then clock_timestamp() end
       where id = $1`,
      [incident.id, to],
    );
    await record(client, incident, `${to === 'restoring' ? 'restore' : 'move'}-incident`, to, move);
    if (to === 'restoring') await tellOfMove(client, incident, to, move);
  });
}

/**
 * Closes an incident for good, with what came out. One whose job may still write somewhere closes only as a
 * false alarm. Throws INCIDENT_UNKNOWN or INCIDENT_STATE.
 */
export async function closeIncident(
  control: pg.Pool,
  id: string,
  { conclusion, falseAlarm, by }: { conclusion: string; falseAlarm: boolean; by: string },
): Promise<Incident> {
  return step(control, id, async (client, incident) => {
    requireStep(incident, 'closed');
    if (incident.state === 'open' && !falseAlarm) {
      throw new PortcullisError(
        'INCIDENT_STATE',
        `${incident.job} may still write in ${stillOpen(incident).join(', ') || 'some region'}: ${incident.id} is open`,
        {
          hint: `kill ${incident.job} there first; or close it as a false alarm`,
          details: { id: incident.id, state: incident.state },
        },
      );
    }
    await client.query(
      `update portcullis_control.incident
       set state = 'closed', closed_at = clock_timestamp(), closed_by = $2, conclusion = $3, false_alarm = $4
       where id = $1`,
      [incident.id, by, conclusion, falseAlarm],
    );
    await record(client, incident, 'close-incident', 'closed', {
      by,
      reason: conclusion,
      evidence: { falseAlarm },
    });
    await tellOfMove(client, incident, 'closed', { by, reason: conclusion });
  });
}

/** Tells people that somebody is at work on an incident, or that it is over. */
async function tellOfMove(
  client: pg.PoolClient,
  { id, job, version, title }: Incident,
  moved: 'restoring' | 'closed',
  { by, reason }: IncidentMove,
): Promise<void> {
  await notify(client, {
    ...{ kind: 'incident', job },
    title:
      moved === 'closed' ? `${by} closed incident ${id}: ${title}` : `${by} restores what ${job} changed`,
    lines: [reason, `More: portcullis incident show ${id}`],
    details: { incident: id, version, moved, by },
  });
}

/** The regions where it is not contained. */
export function stillOpen({ regions }: Incident): string[] {
  return regions.filter(({ containedAt }) => containedAt === null).map(({ region }) => region);
}

/** One change to an incident, in the log's turn: what is read here nobody changes before it is written. */
async function step(
  control: pg.Pool,
  id: string,
  change: (client: pg.PoolClient, incident: Incident) => Promise<void>,
): Promise<Incident> {
  return inTransaction(control, async (client) => {
    await lockAudit(client);
    const incident = await findIncident(client, id);
    await change(client, incident);
    return findIncident(client, id);
  });
}

function requireStep(incident: Incident, to: IncidentState): void {
  // By the table an open incident may be contained; but only its regions' being stopped makes it so.
  if (mayFollow(incident.state, to) && !(to === 'contained' && incident.state === 'open')) return;
  throw new PortcullisError(
    'INCIDENT_STATE',
    `${incident.id} is ${incident.state} (${INCIDENT_STATES[incident.state].meaning}), and cannot be ${to} next`,
    {
      hint:
        incident.state === 'open'
          ? `kill ${incident.job} in ${stillOpen(incident).join(', ') || 'every region'} first`
          : 'look at it again: somebody has moved it on',
      details: { id: incident.id, state: incident.state, to },
    },
  );
}

async function record(
  client: pg.PoolClient,
  { id, job, version, state }: Incident,
  action: string,
  to: IncidentState,
  { by, reason, evidence = {} }: IncidentMove,
): Promise<void> {
  await recordAudit(client, {
    principal: by,
    action,
    subject: id,
    evidence: { job, version, from: state, to, reason, ...evidence },
  });
}
