import type pg from 'pg';

/** What an event is about. */
export const EVENT_KINDS = [
  'run',
  'gate',
  'quarantine',
  'quarantine-lifted',
  'database',
  'flag',
  'admission',
  'break-glass',
  'policy',
  'approval',
  'incident',
  'trip',
  'rollout',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** A database that keeps events in a table `event` of one of our schemas; its triggers write them. */
export interface Outbox {
  /** No other outbox's. */
  readonly name: string;
  /** How people know the database. */
  readonly database: string;
  readonly schema: 'portcullis_control' | 'portcullis_region';
  readonly pool: pg.Pool;
}

export interface Event {
  /** The same whenever the event is read, and no other event's. */
  readonly id: string;
  readonly at: Date;
  readonly kind: EventKind;
  readonly job: string | null;
  readonly region: string | null;
  /** The run, version, request, incident, ... that changed; null where job and region say it all. */
  readonly subject: string | null;
  /** What it is now. */
  readonly data: Readonly<Record<string, unknown>>;
}

export interface EventFilter {
  /** Only what happened then or later. */
  readonly since?: Date | undefined;
  readonly job?: string | undefined;
  readonly region?: string | undefined;
  readonly kind?: EventKind | undefined;
}

/** How far a reader has read an outbox. */
export interface Position {
  /** Everything of earlier transactions is read, and of this one everything up to the id. */
  readonly xid: string;
  readonly id: number;
  /** When it was read, in milliseconds since 1970 by the database's clock. */
  readonly readAtMs: number;
}

export interface Reading {
  /** Oldest first, by transaction. */
  readonly events: readonly { readonly event: Event; readonly position: Position }[];
  /** Where to go on once all of these are taken. */
  readonly end: Position;
  /** Whether events that came behind the position are gone: they were older than is kept, or another database's. */
  readonly lost: boolean;
}

/** For how long an event is kept. */
export const KEPT_MS = 24 * 3_600_000;

interface Row extends Omit<Event, 'id'> {
  readonly xid: string;
  readonly id: number;
  readonly settled: boolean;
}

/**
 * Reads what came behind a position; from none, what happened since the filter's moment, or, without one, nothing and a
 * position from which everything is new.
 *
 * Ids are drawn before their transactions commit, so a row may become visible behind ones that have been read. No row
 * is added any more below the oldest transaction that is running: positions move up to there and no further. What lies
 * beyond is answered at once all the same, and again at the next reading: take each id once.
 */
export async function readOutbox(
  { name, schema, pool }: Outbox,
  after: Position | undefined,
  { since, job, region, kind }: EventFilter,
  limit: number,
): Promise<Reading> {
  const { rows: heads } = await pool.query<{ oldest: string; ahead: boolean; now: Date }>(
    `select pg_snapshot_xmin(pg_current_snapshot()) as oldest, clock_timestamp() as now,
       coalesce($1::xid8 > pg_snapshot_xmax(pg_current_snapshot()), false) as ahead`,
    [after?.xid ?? null],
  );
  const [head] = heads;
  if (!head) throw new Error('the database did not say which transactions are running');
  const readAtMs = head.now.getTime();
  const end: Position = { xid: head.oldest, id: 0, readAtMs };
  if (after === undefined && since === undefined) return { events: [], end, lost: false };
  const from: Position = after ?? { xid: '0', id: 0, readAtMs };
  if (head.ahead || readAtMs - from.readAtMs > KEPT_MS) return { events: [], end, lost: true };
  // Read after the oldest transaction was asked for: what is below it is complete.
  const { rows } = await pool.query<Row>(
    `select xid, id, at, kind, job, region, subject, data, xid < $7::xid8 as settled
     from ${schema}.event
     where (xid, id) > ($1::xid8, $2::bigint)
       and ($3::text is null or job = $3) and ($4::text is null or region = $4) and ($5::text is null or kind = $5)
       and ($8::timestamptz is null or at >= $8)
     order by xid, id limit $6`,
    [from.xid, from.id, job ?? null, region ?? null, kind ?? null, limit, head.oldest, since ?? null],
  );
  let position: Position = { ...from, readAtMs };
  const events = rows.map(({ xid, id, settled, ...row }) => {
    if (settled) position = { xid, id, readAtMs };
    return { event: { ...row, data: camelCase(row.data), id: `${name}/${xid}.${id}` }, position };
  });
  return { events, end: rows.length < limit ? end : position, lost: false };
}

/** The columns' names, as the API writes names. */
function camelCase(data: Row['data']): Row['data'] {
  const named = Object.entries(data).map(([name, value]) => [
    name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ]);
  return Object.fromEntries(named) as Row['data'];
}

/** Tells whether there may be something new: another value than before says so. Cheap. */
export async function headOf({ schema, pool }: Outbox): Promise<string> {
  const { rows } = await pool.query<{ head: string | null }>(
    `select concat(
       (select max(id) from ${schema}.event where xid >= pg_snapshot_xmin(pg_current_snapshot())), ' ',
       (select xid from ${schema}.event where xid < pg_snapshot_xmin(pg_current_snapshot())
        order by xid desc limit 1)) as head`,
  );
  return rows[0]?.head ?? '';
}

/** Removes what is older than is kept. Answers how many events that were. */
export async function forgetEvents({ schema, pool }: Outbox): Promise<number> {
  const { rowCount } = await pool.query(
    `delete from ${schema}.event where at < clock_timestamp() - make_interval(secs => $1::float8 / 1000)`,
    [KEPT_MS],
  );
  return rowCount ?? 0;
}
