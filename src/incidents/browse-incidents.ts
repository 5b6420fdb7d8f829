import type pg from 'pg';
import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { keyOfCursor, MomentKey, pageOf, type Page, type PageRequest } from '../postgres/page.js';
import type { Incident } from './incident.js';
import type { IncidentState } from './incident-states.js';

interface RegionRow {
  readonly region: string;
  readonly first_run: string | null;
  readonly since: string;
  readonly contained_at: string | null;
  readonly damaged: boolean;
}

interface IncidentRow extends Pick<
  Incident,
  'id' | 'job' | 'version' | 'cause' | 'state' | 'severity' | 'title' | 'drill' | 'evidence' | 'conclusion'
> {
  readonly regions: readonly RegionRow[];
  readonly opened_by: string;
  readonly opened_at: Date;
  readonly contained_at: Date | null;
  readonly restored_at: Date | null;
  readonly closed_at: Date | null;
  readonly closed_by: string | null;
  readonly false_alarm: boolean;
  /** opened_at to the microsecond, which a Date cannot hold and the walk must not lose. */
  readonly opened_key: string;
}

const COLUMNS = `
  id, job, version, cause, state, severity, title, drill, evidence, opened_by, opened_at, contained_at, restored_at,
  closed_at, closed_by, conclusion, false_alarm, opened_at::text as opened_key,
  (select coalesce(jsonb_agg(to_jsonb(r) - 'incident' order by r.region), '[]')
   from portcullis_control.incident_region r where r.incident = i.id) as regions`;

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

/** Whether a text can be an incident's id, as opposed to the beginning of a run's. */
export function looksLikeIncident(id: string): boolean {
  return /^(?=.*[g-z])[a-z2-7]{8}$/i.test(id.trim());
}

function incidentOf(row: IncidentRow): Incident {
  const iso = (time: Date | null): string | null => time?.toISOString() ?? null;
  return {
    id: row.id,
    job: row.job,
    version: row.version,
    cause: row.cause,
    state: row.state,
    severity: row.severity,
    title: row.title,
    drill: row.drill,
    regions: row.regions.map(
      ({ region, first_run: firstRun, since, contained_at: containedAt, damaged }) => ({
        region,
        firstRun,
        // To the microsecond, as the database has it: a run's own moment is compared with it.
        since,
        containedAt,
        damaged,
      }),
    ),
    evidence: row.evidence,
    openedBy: row.opened_by,
    openedAt: row.opened_at.toISOString(),
    containedAt: iso(row.contained_at),
    restoredAt: iso(row.restored_at),
    closedAt: iso(row.closed_at),
    closedBy: row.closed_by,
    conclusion: row.conclusion,
    falseAlarm: row.false_alarm,
  };
}
