import type pg from 'pg';
import { lockAudit, recordAudit } from '../audit/record.js';
import { storable, storableJson } from '../kernel/text.js';
import { newShortId, looksLikeIncident } from '../kernel/short-id.js';
import { columnsOf } from '../postgres/columns-of.js';
import type { Cause, IncidentNote } from './incident.js';
import type { IncidentState } from './incident-states.js';

/** Where something went wrong. */
export interface RegionHit {
  readonly region: string;
  /** The first bad run, where it is known. */
  readonly firstRun?: string | undefined;
  /** When that run was elected, by the region's clock (ISO 8601); absent: now. */
  readonly since?: string | undefined;
  /**
   * Since when nothing of it can commit there any more (ISO 8601): the gate is killed, or the version
   * quarantined. Null while it may.
   */
  readonly containedAt: string | null;
}

export interface IncidentOrder {
  readonly job: string;
  /** The version to blame; absent where that is not known. */
  readonly version?: string | undefined;
  readonly regions: readonly RegionHit[];
  readonly cause: Cause;
  /** What happened, in a few words. */
  readonly title: string;
  /** A kill for practice. Absent: it is real. */
  readonly drill?: boolean | undefined;
  /** What it was decided on. Plain JSON. */
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly by: string;
}

export interface Opened {
  readonly id: string;
  /** Whether it was there already. */
  readonly joined: boolean;
}

/** Notes kept with an incident, the first ones; all are in the audit log. */
const MOST_NOTES = 100;

/**
 * Opens an incident, or joins the one of that job and version that is not closed yet: its regions and evidence
 * grow, and no second one is made, however many rules trip at once. One whose version is unknown is joined by
 * any of that job, and takes its version. A joining region that is not stopped opens it again; but an absence
 * harms nothing, and where an incident is there already it is only noted. A drill joins drills alone.
 *
 * Damage is named by a rule that failed, or by whoever names the first bad run. A kill or a report without one names
 * none: then no run belongs to the incident there until somebody includes one.
 *
 * In the transaction that the client is in, with a line in the audit log. From its beginning on, that
 * transaction has the turn to write to the log: call it late. It works on the first release's schema too, for kills
 * there: a drill is an incident like any other then, which its title names.
 */
export async function openIncident(client: pg.PoolClient, order: IncidentOrder): Promise<Opened> {
  await lockAudit(client);
  const drills = (await columnsOf(client, 'portcullis_control.incident')).has('drill');
  const opened = (await unclosedLike(client, order, drills)) ?? (await insertIncident(client, order, drills));
  const { id, joined } = opened;
  const onlyNoted = joined && order.cause === 'absence';
  if (!onlyNoted) await includeRegions(client, id, order);
  if (joined) await addNote(client, id, order);
  const state = await settleState(client, id, !onlyNoted && order.regions.length > 0);
  const { job, version = null, cause, title, drill = false, evidence, by } = order;
  await recordAudit(client, {
    principal: by,
    action: joined ? 'join-incident' : 'open-incident',
    subject: id,
    evidence: {
      job,
      version,
      cause,
      title,
      ...(drill && { drill }),
      state,
      regions: order.regions.map(({ region, firstRun = null, containedAt }) => ({
        region,
        firstRun,
        containedAt,
      })),
      evidence,
    },
  });
  return opened;
}

/** Where one side names damage and the other does not, the one that does says from when to when. */
const INCLUDED = `
  (incident, region, first_run, since, contained_at, damaged)
     select $1, region, first_run, coalesce(since, clock_timestamp()), contained_at, damaged
     from hit
     on conflict (incident, region) do update
     set since = case when r.damaged = excluded.damaged then least(r.since, excluded.since)
                      when r.damaged then r.since else excluded.since end,
         first_run = case when r.damaged and not excluded.damaged then r.first_run
                          when not r.damaged or excluded.since < r.since then excluded.first_run
                          else coalesce(r.first_run, excluded.first_run) end,
         contained_at = case when excluded.damaged or excluded.contained_at is null then excluded.contained_at
                             else coalesce(r.contained_at, excluded.contained_at) end,
         damaged = r.damaged or excluded.damaged`;

/** On a schema that does not tell damage from a kill: a region that was there keeps its first bad run. */
const INCLUDED_OF_OLD = `
  (incident, region, first_run, since, contained_at)
     select $1, region, first_run, coalesce(since, clock_timestamp()), contained_at
     from hit
     on conflict (incident, region) do update
     set since = least(r.since, excluded.since),
         first_run = case when excluded.since < r.since then excluded.first_run
                          else coalesce(r.first_run, excluded.first_run) end,
         contained_at = excluded.contained_at`;

async function includeRegions(
  client: pg.PoolClient,
  id: string,
  { regions, cause }: IncidentOrder,
): Promise<void> {
  const damages = (await columnsOf(client, 'portcullis_control.incident_region')).has('damaged');
  await client.query(
    `with hit as (
       select * from jsonb_to_recordset($2)
         as hit (region text, first_run uuid, since timestamptz, contained_at timestamptz, damaged boolean))
     insert into portcullis_control.incident_region as r ${damages ? INCLUDED : INCLUDED_OF_OLD}`,
    [
      id,
      JSON.stringify(
        regions.map(({ region, firstRun, since, containedAt }) => ({
          region,
          first_run: firstRun,
          since,
          contained_at: containedAt,
          damaged: cause === 'trip' || firstRun !== undefined,
        })),
      ),
    ],
  );
}

/** The incident to join: of the same version if there is one, else one whose version, or ours, is unknown. */
async function unclosedLike(
  client: pg.PoolClient,
  { job, version, cause, title, drill = false }: IncidentOrder,
  drills: boolean,
): Promise<Opened | undefined> {
  const { rows } = await client.query<{ id: string }>(
    // What was only silent before goes by what has happened now.
    `update portcullis_control.incident
     set version = coalesce(version, $2),
         title = case when cause = 'absence' then $4 else title end,
         cause = case when cause = 'absence' then $3 else cause end
     where id = (
       select id from portcullis_control.incident
       where job = $1 ${drills ? 'and drill = $5' : ''} and state <> 'closed' and (version = $2 or version is null or $2 is null)
       order by version is not distinct from $2 desc, opened_at desc
       limit 1)
     returning id`,
    [job, version ?? null, cause, storable(title), ...(drills ? [drill] : [])],
  );
  return rows[0] && { id: rows[0].id, joined: true };
}

async function insertIncident(client: pg.PoolClient, order: IncidentOrder, drills: boolean): Promise<Opened> {
  const { job, version, cause, title, drill = false, by } = order;
  for (;;) {
    const { rows } = await client.query<{ id: string }>(
      `insert into portcullis_control.incident (id, job, version, cause, state, title, evidence, opened_by${drills ? ', drill' : ''})
       values ($1, $2, $3, $4, 'open', $5, jsonb_build_array(${NOTE}), $7${drills ? ', $8' : ''})
       on conflict (id) do nothing
       returning id`,
      [
        ...[newIncidentId(), job, version ?? null, cause, storable(title), noteOf(order), by],
        ...(drills ? [drill] : []),
      ],
    );
    // Without a row, someone has that id: once in a million million.
    if (rows[0]) return { id: rows[0].id, joined: false };
  }
}

/** Never all hexadecimal digits, so that it is not taken for the beginning of a run's id. */
function newIncidentId(): string {
  for (;;) {
    const id = newShortId();
    if (looksLikeIncident(id)) return id;
  }
}

/** $6, with the database's time. */
const NOTE = `jsonb_build_object('at', to_jsonb(clock_timestamp() at time zone 'UTC') #>> '{}' || 'Z') || $6::jsonb`;

/** A note of an incident ({@link IncidentNote}) without its time, as JSON. */
function noteOf({ by, cause, title, regions, evidence }: IncidentOrder): string {
  const note: Omit<IncidentNote, 'at'> = {
    ...{ by, cause, title, facts: evidence },
    regions: regions.map(({ region }) => region),
  };
  return storableJson(note);
}

async function addNote(client: pg.PoolClient, id: string, order: IncidentOrder): Promise<void> {
  await client.query(
    `update portcullis_control.incident set evidence = evidence || (${NOTE.replace('$6', '$2')})
     where id = $1 and jsonb_array_length(evidence) < $3`,
    [id, noteOf(order), MOST_NOTES],
  );
}

/**
 * Has the state follow the regions: contained when all of them are, open while one is not. News of a region
 * (`hit`) take an incident back from `restoring` and `restored`.
 */
export async function settleState(client: pg.PoolClient, id: string, hit: boolean): Promise<IncidentState> {
  const { rows } = await client.query<{ state: IncidentState }>(
    `with stopped as (
       select count(*) > 0 and bool_and(contained_at is not null) as everywhere
       from portcullis_control.incident_region where incident = $1
     )
     update portcullis_control.incident
     set state = case when not everywhere then 'open'
                      when state = 'open' or $2 then 'contained'
                      else state end,
         contained_at = case when everywhere then coalesce(contained_at, clock_timestamp()) end,
         restored_at = case when everywhere and not $2 then restored_at end
     from stopped
     where id = $1 and state <> 'closed'
     returning state`,
    [id, hit],
  );
  return rows[0]?.state ?? 'closed';
}
