import type pg from 'pg';
import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { keyOfCursor, MomentKey, pageOf, type Page, type PageRequest } from '../postgres/page.js';
import { Incident } from './incident.js';
import type { IncidentState } from './incident-states.js';
import { viewColumns, viewOf } from '../postgres/view.js';

/** A view's columns, and opened_at to the microsecond, which a Date cannot hold and the walk must not lose. */
interface IncidentRow {
  readonly id: string;
  readonly opened_key: string;
}

// The times of regions are to the microsecond, as their databases have them: a run's own moment is compared with them.
const COLUMNS = `
  ${viewColumns(Incident, {
    regions: `(
      select coalesce(jsonb_agg(jsonb_build_object(
               'region', r.region, 'firstRun', r.first_run, 'since', r.since, 'containedAt', r.contained_at,
               'damaged', r.damaged)
             order by r.region), '[]')
      from portcullis_control.incident_region r where r.incident = i.id)`,
  })}, opened_at::text as opened_key`;

export interface IncidentFilter {
  readonly job?: string | undefined;
  readonly state?: IncidentState | undefined;
  /** Only those that are not closed. */
  readonly unclosed?: boolean | undefined;
}

const IncidentKey = z.tuple([MomentKey, z.string()]);

/** Incidents, newest first. Throws REQUEST_INVALID for a cursor that is not of this list. */
export async function listIncidents(
  control: pg.Pool,
  filter: IncidentFilter,
  page: PageRequest,
): Promise<Page<Incident>> {
  const [openedAt, id] = keyOfCursor(page.cursor, IncidentKey) ?? [null, null];
  const { rows } = await control.query<IncidentRow>(
    `select ${COLUMNS} from portcullis_control.incident i
     where ($1::text is null or job = $1)
       and ($2::text is null or state = $2)
       and (not $3 or state <> 'closed')
       and ($4::timestamptz is null or (opened_at <= $4 and (opened_at < $4 or id > $5)))
     order by opened_at desc, id
     limit $6`,
    [filter.job, filter.state, filter.unclosed ?? false, openedAt, id, page.limit + 1],
  );
  return pageOf(rows, page.limit, incidentOf, (row) => [row.opened_key, row.id]);
}

/** One incident, however its id was typed. Throws INCIDENT_UNKNOWN. */
export async function findIncident(control: pg.Pool | pg.PoolClient, id: string): Promise<Incident> {
  const { rows } = await control.query<IncidentRow>(
    `select ${COLUMNS} from portcullis_control.incident i where id = $1`,
    [id.trim().toLowerCase()],
  );
  if (rows[0]) return incidentOf(rows[0]);
  throw new PortcullisError('INCIDENT_UNKNOWN', `no incident has the id ${id}`, {
    hint: 'list the incidents to find its id',
    details: { id },
  });
}

function incidentOf(row: IncidentRow): Incident {
  return viewOf(Incident, row);
}
