import type pg from 'pg';
import { lockAudit, recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import type { RunView } from '../runs/browse-runs.js';
import { inTransaction } from '../postgres/pool.js';
import { findIncident } from './browse-incidents.js';
import type { Incident } from './incident.js';
import { settleState } from './open-incident.js';

/**
 * Names damage: a run that was bad. If it is the first in its region, those after it come along. In a region that
 * was not part of the incident, or after its containment there, the job may still write: it is open again.
 * Throws INCIDENT_UNKNOWN, INCIDENT_STATE for a closed one or a drill, REQUEST_INVALID for a run that cannot belong
 * to it, and NOTHING_REACHED for one that is part of it already.
 */
export async function includeRun(
  control: pg.Pool,
  id: string,
  run: RunView,
  by: string,
  reason?: string,
): Promise<Incident> {
  return inTransaction(control, async (client) => {
    await lockAudit(client);
    const incident = await findIncident(client, id);
    requireDamageable(incident);
    refuseStranger(incident, run);
    if (!(await damage(client, incident.id, run.region, run.createdAt, run.runId)))
      throw included(incident, `run ${run.runId.slice(0, 8)} is`);
    return conclude(client, incident, by, 'include-run', {
      ...{ version: run.version, region: run.region, run: run.runId },
      ...(reason !== undefined && { reason }),
    });
  });
}

export interface DamageSince {
  readonly since: Date;
  /** Regions of the incident; at least one. */
  readonly regions: readonly string[];
  readonly reason?: string | undefined;
}

/**
 * Names damage: every run of the incident's job and version in these regions that was elected at that time or later,
 * up to the containment there. Throws INCIDENT_UNKNOWN, INCIDENT_STATE for a closed one or a drill, REQUEST_INVALID
 * for a region that is not part of it or a time that is yet to come, and NOTHING_REACHED where all of them are part of
 * it already.
 */
export async function includeSince(
  control: pg.Pool,
  id: string,
  { since, regions, reason }: DamageSince,
  by: string,
): Promise<Incident> {
  return inTransaction(control, async (client) => {
    await lockAudit(client);
    const incident = await findIncident(client, id);
    requireDamageable(incident);
    const { rows } = await client.query<{ ahead: boolean }>(
      'select $1::timestamptz > clock_timestamp() as ahead',
      [since],
    );
    if (rows[0]?.ahead === true) {
      throw new PortcullisError('REQUEST_INVALID', `${since.toISOString()} is yet to come`, {
        hint: 'give the time of the first damage, such as 2026-03-01T09:30:00Z',
      });
    }
    const known = incident.regions.map(({ region }) => region);
    const stranger = regions.find((region) => !known.includes(region));
    if (stranger !== undefined) {
      throw new PortcullisError('REQUEST_INVALID', `${stranger} is not part of ${incident.id}`, {
        hint: `its regions are ${known.join(', ')}; a run elsewhere is included by its id`,
        details: { id: incident.id, region: stranger },
      });
    }
    let news = false;
    for (const region of regions)
      news = (await damage(client, incident.id, region, since.toISOString(), null)) || news;
    if (!news) throw included(incident, `every run since ${since.toISOString()} is`);
    return conclude(client, incident, by, 'include-since', {
      ...{ since: since.toISOString(), regions: [...regions] },
      ...(reason !== undefined && { reason }),
    });
  });
}

/**
 * From then on the runs of a region belong to it; where damage was named before, from the earlier time on. Answers
 * whether that changes anything.
 */
async function damage(
  client: pg.PoolClient,
  incident: string,
  region: string,
  since: string,
  firstRun: string | null,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `insert into portcullis_control.incident_region as r (incident, region, first_run, since, damaged)
     values ($1, $2, $3, $4, true)
     on conflict (incident, region) do update
     set first_run = case when not r.damaged or excluded.since < r.since then excluded.first_run else r.first_run end,
         since = case when r.damaged then least(r.since, excluded.since) else excluded.since end,
         contained_at = case when r.contained_at >= excluded.since then r.contained_at end,
         damaged = true
     where not r.damaged or excluded.since < r.since or r.contained_at < excluded.since`,
    [incident, region, firstRun, since],
  );
  return (rowCount ?? 0) > 0;
}

async function conclude(
  client: pg.PoolClient,
  { id, job, state: from }: Incident,
  by: string,
  action: string,
  evidence: Readonly<Record<string, unknown>>,
): Promise<Incident> {
  // What was put back is not all of it any more.
  const to = await settleState(client, id, true);
  await recordAudit(client, { principal: by, action, subject: id, evidence: { job, ...evidence, from, to } });
  return findIncident(client, id);
}

function included({ id }: Incident, what: string): PortcullisError {
  return new PortcullisError('NOTHING_REACHED', `${what} part of ${id} already; nothing was changed`, {
    hint: `portcullis incident show ${id} lists its runs`,
    details: { id },
  });
}

function requireDamageable({ id, job, state, drill }: Incident): void {
  if (state !== 'closed' && !drill) return;
  throw new PortcullisError('INCIDENT_STATE', `${id} is ${drill ? 'a drill' : 'closed'}`, {
    hint: `open another: portcullis incident open ${job} --run RUN --title "…"`,
    details: { id, state, drill },
  });
}

function refuseStranger({ id, job, version }: Incident, run: RunView): void {
  const why =
    run.job !== job
      ? `it is of ${run.job}, and the incident of ${job}`
      : version !== null && run.version !== version
        ? `it is of ${run.version}, and the incident of ${version}`
        : run.restores !== null
          ? 'it is a restore'
          : run.dryRun
            ? 'it was a dry run'
            : undefined;
  if (why === undefined) return;
  throw new PortcullisError(
    'REQUEST_INVALID',
    `run ${run.runId.slice(0, 8)} cannot belong to ${id}: ${why}`,
    {
      hint: 'open an incident of its own for it, or restore it by itself',
      details: { id, run: run.runId },
    },
  );
}
