import type pg from 'pg';
import { lockAudit, recordAudit } from '../audit/record.js';
import { PortcullisError } from '../base/errors.js';
import type { RunView } from '../scheduler/browse-runs.js';
import { inTransaction } from '../store/pool.js';
import { findIncident } from './browse-incidents.js';
import type { Incident } from './incident.js';
import { settleState } from './open-incident.js';

/**
 * Adds a run that was bad too. If it is the first in its region, those after it come along. In a region that
 * was not part of the incident, or after its containment there, the job may still write: it is open again.
 * Throws INCIDENT_UNKNOWN, INCIDENT_STATE for a closed one, REQUEST_INVALID for a run that cannot belong to it.
 */
export async function includeRun(control: pg.Pool, id: string, run: RunView, by: string): Promise<Incident> {
  return inTransaction(control, async (client) => {
    await lockAudit(client);
    const incident = await findIncident(client, id);
    refuseStranger(incident, run);
    await client.query(
      `insert into portcullis_control.incident_region as r (incident, region, first_run, since)
       values ($1, $2, $3, $4)
       on conflict (incident, region) do update
       set first_run = case when excluded.since < r.since then excluded.first_run else r.first_run end,
           since = least(r.since, excluded.since),
           contained_at = case when r.contained_at >= excluded.since then r.contained_at end`,
      [incident.id, run.region, run.runId, run.createdAt],
    );
    // What was put back is not all of it any more.
    const state = await settleState(client, incident.id, true);
    await recordAudit(client, {
      principal: by,
      action: 'include-run',
      subject: incident.id,
      evidence: {
        ...{ job: incident.job, version: run.version, region: run.region, run: run.runId },
        ...{ from: incident.state, to: state },
      },
    });
    return findIncident(client, id);
  });
}

function refuseStranger(incident: Incident, run: RunView): void {
  const { id, job, version, state } = incident;
  const name = `run ${run.runId.slice(0, 8)}`;
  if (state === 'closed') {
    throw new PortcullisError('INCIDENT_STATE', `${id} is closed`, {
      mend: `open another: portcullis incident open ${run.job} --run ${run.runId.slice(0, 8)} --title "…"`,
      details: { id, state },
    });
  }
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
  throw new PortcullisError('REQUEST_INVALID', `${name} cannot belong to ${id}: ${why}`, {
    mend: 'open an incident of its own for it, or restore it by itself',
    details: { id, run: run.runId },
  });
}
