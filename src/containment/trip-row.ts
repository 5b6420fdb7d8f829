import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { storableJson } from '../kernel/text.js';
import type { GuardPolicy } from '../flags/guard-policy.js';
import type { Closing } from './closing.js';
import type { Stage } from './consequences.js';
import type { Figures, Judged } from './verdict.js';
import { writeSaid } from './without-evidence.js';

/** A rule that failed, with what it was decided on. */
export interface FailedRule {
  readonly rule: string;
  readonly reason: string;
  readonly figures: Figures;
  readonly evidence: readonly Readonly<Record<string, unknown>>[];
}

/** What tripped, and where. */
export interface TripOrder {
  readonly job: string;
  readonly region: string;
  /** Null where no one version is to blame, as for an alert that names none. */
  readonly version: string | null;
  /** The run that it was found in; null while baking. */
  readonly run: string | null;
  readonly stage: Stage;
  /** All that failed together, the first first. */
  readonly failed: readonly [FailedRule, ...FailedRule[]];
  readonly restore: GuardPolicy['onTrip']['restore'];
  /** What it is to close, if its version turns out to be a candidate. */
  readonly closing: Closing;
}

/** A trip, and how far it has got. */
export interface Trip extends TripOrder {
  readonly id: string;
  readonly at: Date;
  /** When its run was elected; without a run, when it tripped. */
  readonly since: Date;
  /** What it closes, and why. Null: not decided yet. */
  readonly closed: Closing | null;
  /** From when on nothing of it can commit in its region; null: not yet. */
  readonly fencedAt: Date | null;
  /** The regions in which its version is quarantined. */
  readonly quarantined: readonly string[];
  readonly settledAt: Date | null;
}

/** A trip whose first step is taken: what it closes is closed. */
export type Fenced = Trip & { readonly fencedAt: Date; readonly closed: Closing };

const COLUMNS = `id, job, region, version, run, stage, failed, restore, at, fenced_at as "fencedAt", quarantined,
  settled_at as "settledAt", jsonb_build_object('close', close, 'why', close_why) as closing,
  case when closed is not null then jsonb_build_object('close', closed, 'why', closed_why) end as closed,
  coalesce(
    (select r.created_at from portcullis_region.run r where r.id = trip.run),
    -- A rule that judges a version while it bakes means whatever the version did here.
    (select min(r.created_at) from portcullis_region.run r
     where trip.version is not null and r.job = trip.job and r.region = trip.region and r.version = trip.version
       and r.restores is null and not r.dry_run),
    at) as since`;

/**
 * Writes down that a gate is to be dropped, in the region's database, before anything is done about it. `id` is a UUID:
 * where a trip has it already, that one is answered, as far as it has got.
 */
export async function writeTrip(
  region: pg.Pool | pg.PoolClient,
  order: TripOrder,
  id: string = randomUUID(),
): Promise<Trip> {
  const { job, version, run, stage, failed, restore, closing } = order;
  const { rows } = await writeSaid(region, failed, (said) =>
    region.query<Trip>(
      `insert into portcullis_region.trip (id, job, region, version, run, stage, failed, restore, close, close_why)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (id) do nothing returning ${COLUMNS}`,
      [
        ...[id, job, order.region, version, run, stage, storableJson(said), restore],
        ...[closing.close, closing.why],
      ],
    ),
  );
  const [trip] = rows.length > 0 ? rows : await tripOf(region, id);
  if (!trip) throw new Error('the trip was not written');
  return trip;
}

async function tripOf(region: pg.Pool | pg.PoolClient, id: string): Promise<Trip[]> {
  return (await region.query<Trip>(`select ${COLUMNS} from portcullis_region.trip where id = $1`, [id])).rows;
}

/** The trip that a run has caused, if it has. */
export async function tripOfRun(region: pg.Pool, run: string): Promise<Trip | undefined> {
  const { rows } = await region.query<Trip>(
    `select ${COLUMNS} from portcullis_region.trip where run = $1 order by at limit 1`,
    [run],
  );
  return rows[0];
}

/** The trip of a version in a region that is not at its end, if there is one. */
export async function unsettledTrip(
  client: pg.PoolClient,
  { job, region, version }: { readonly job: string; readonly region: string; readonly version: string },
): Promise<Trip | undefined> {
  const { rows } = await client.query<Trip>(
    `select ${COLUMNS} from portcullis_region.trip
     where job = $1 and region = $2 and version = $3 and settled_at is null order by at limit 1`,
    [job, region, version],
  );
  return rows[0];
}

/** Trips that nobody has brought to their end and nobody is at: their runs are over, or have lost their lease. */
export async function forsakenTrips(region: pg.Pool): Promise<Trip[]> {
  const { rows } = await region.query<Trip>(
    `select ${COLUMNS} from portcullis_region.trip
     where settled_at is null
       and (fenced_at is null or at < clock_timestamp() - interval '5 seconds')
       and not exists (
         select from portcullis_region.run r
         where r.id = trip.run and r.status in ('planning', 'applying') and r.lease_until > clock_timestamp())
     order by at`,
  );
  return rows;
}

/** How many trips of a region's database have no incident and no entry in the audit log yet. */
export async function countUnrecordedTrips(control: pg.Pool, region: pg.Pool): Promise<number> {
  const { rows } = await region.query<{ id: string }>(
    'select id from portcullis_region.trip where settled_at is null order by at limit 1000',
  );
  if (rows.length === 0) return 0;
  const { rowCount } = await control.query('select from portcullis_control.trip where id = any($1)', [
    rows.map(({ id }) => id),
  ]);
  return rows.length - (rowCount ?? 0);
}

/** A verdict that failed, as a trip keeps it. */
export function failedRule({ rule, reason, figures, evidence = [] }: Judged): FailedRule {
  return { rule, reason, figures, evidence };
}

/**
 * Settles what a trip closes, once: whoever carries it out after a crash closes the same. Answers what was settled
 * first.
 */
export async function settleClosing(region: pg.Pool, id: string, { close, why }: Closing): Promise<Closing> {
  const { rows } = await region.query<Closing>(
    `update portcullis_region.trip
     set closed_why = case when closed is null then $3 else closed_why end, closed = coalesce(closed, $2)
     where id = $1 returning closed as close, closed_why as why`,
    [id, close, why],
  );
  return rows[0] ?? { close, why };
}

/** All that failed, in one line. */
export function reasonOf({ failed }: Pick<TripOrder, 'failed'>): string {
  return failed.map(({ reason }) => reason).join('; ');
}
