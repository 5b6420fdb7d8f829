import type pg from 'pg';
import { messageOf } from '../kernel/errors.js';
import { faultPoint } from '../kernel/fault-point.js';
import { gatesOf } from './gates-of.js';
import { killGate } from './kill-gate.js';
import { electRestore } from '../runs/election.js';
import { finishRun } from '../runs/finish.js';
import { RUN_COLUMNS, type Run } from '../runs/election.js';
import { askCandidacy, closedBy, type Closing } from './closing.js';
import { recordTrip } from './record-trip.js';
import { reasonOf, settleClosing, type Fenced, type Trip } from './trip-row.js';

/** The databases that a trip reaches: the owner's login everywhere, for a trip kills. */
export interface TripDatabases {
  readonly control: pg.Pool;
  ownerOf(region: string): pg.Pool;
  /** Where flags are, if not in the control database: a trip does not change them there, and says so. */
  readonly flagsAt?: string | undefined;
}

export interface Tripped {
  readonly trip: Fenced;
  /** How long it took to close what it closes; 0 where that was closed before. */
  readonly fenceMs: number;
  readonly incident?: string;
  /** What could not be done yet, and why. It is tried again until it is; the region is closed meanwhile. */
  readonly left: readonly string[];
}

/**
 * Carries a trip out from where it stands, the world first and the bookkeeping after:
 *
 * 1. what it closes is closed, and from then on nothing of it can commit in its region: the version, by its own epoch,
 *    where it is a candidate (closing.ts), and otherwise the region's gate;
 * 2. the version is quarantined, in this region and in every other;
 * 3. on the control plane, all or nothing: the version's share is taken away in every flag, an incident is
 *    opened or joined, it goes on record, and people are told.
 *
 * Each step is done once, however often this is called. Where a step fails the next is taken all the same,
 * and what is left is answered. Throws only where the region's own database cannot be reached.
 */
export async function carryOutTrip(regionDatabases: TripDatabases, trip: Trip): Promise<Tripped> {
  await faultPoint('trip.written');
  const startedAt = performance.now();
  const closed = await fence(regionDatabases, trip);
  const fenceMs = trip.fencedAt ? 0 : performance.now() - startedAt;
  await faultPoint('trip.fenced');
  const { quarantined, left } = await quarantineEverywhere(regionDatabases, closed);
  await faultPoint('trip.quarantined');
  const fenced = { ...closed, quarantined };
  const incident = await recordTrip(regionDatabases, fenced, byOf(trip)).catch((error: unknown) => {
    left.push(`flags, incident and record: ${messageOf(error)}`);
    return undefined;
  });
  await faultPoint('trip.recorded');
  return { trip: fenced, fenceMs, left, ...(incident !== undefined && { incident }) };
}

/**
 * Brings a trip to its end: ends its run where nobody else has, begins the restore where the policy says so,
 * and notes that nothing is left to do, if that is so.
 */
export async function concludeTrip(regionDatabases: TripDatabases, { trip, left }: Tripped): Promise<void> {
  const owner = regionDatabases.ownerOf(trip.region);
  if (trip.run !== null) {
    await endRun(owner, trip, trip.run);
    await faultPoint('trip.run-ended');
    if (trip.restore === 'auto' && (await hasWritten(owner, trip.run))) {
      await electRestore(owner, { of: trip.run, worker: 'guard', leaseMs: 0 });
    }
  }
  if (left.length > 0) return;
  await owner.query(
    'update portcullis_region.trip set settled_at = clock_timestamp() where id = $1 and settled_at is null',
    [trip.id],
  );
}

/** Who it is that trips, on the record. */
function byOf({ failed: [first] }: Pick<Trip, 'failed'>): string {
  return `guard:${first.rule}`;
}

/**
 * Closes what a trip closes. A version that may be a candidate is stopped before anybody is asked whether it is one, so
 * that the answer, which may not come, only decides whether the gate is killed as well.
 */
async function fence(regionDatabases: TripDatabases, trip: Trip): Promise<Fenced> {
  const { id, job, region, version, fencedAt, closed } = trip;
  if (fencedAt && closed) return { ...trip, fencedAt, closed };
  const owner = regionDatabases.ownerOf(region);
  let { quarantined } = trip;
  if (trip.closing.close === 'candidate' && version !== null && !quarantined.includes(region)) {
    await quarantineIn(regionDatabases, trip, version, region);
    quarantined = [...quarantined, region];
  }
  const settled = closed ?? (await settleClosing(owner, id, await decideClosing(regionDatabases, trip)));
  if (settled.close === 'region')
    await killGate(owner, { job, region, reason: reasonOf(trip), by: byOf(trip) });
  const { rows } = await owner.query<{ at: Date }>(
    `update portcullis_region.trip set fenced_at = coalesce(fenced_at, clock_timestamp())
     where id = $1 returning fenced_at as at`,
    [id],
  );
  return { ...trip, quarantined, closed: settled, fencedAt: rows[0]?.at ?? new Date() };
}

async function decideClosing({ control }: TripDatabases, trip: Trip): Promise<Closing> {
  const { job, region, version, closing } = trip;
  const candidacy =
    closing.close === 'candidate' && version !== null
      ? await askCandidacy(control, { job, region, version })
      : 'none';
  return closedBy(closing, candidacy, trip);
}

async function quarantineIn(
  regionDatabases: TripDatabases,
  trip: Trip,
  version: string,
  region: string,
): Promise<void> {
  const { id, job } = trip;
  const order = { job, region, version, reason: reasonOf(trip), by: byOf(trip) };
  await killGate(regionDatabases.ownerOf(region), order);
  await regionDatabases
    .ownerOf(trip.region)
    .query('update portcullis_region.trip set quarantined = array_append(quarantined, $2) where id = $1', [
      id,
      region,
    ]);
}

/** Its own region first, which asks nobody. Answers where it is done, and what could not be. */
async function quarantineEverywhere(
  regionDatabases: TripDatabases,
  trip: Trip,
): Promise<{ readonly quarantined: string[]; readonly left: string[] }> {
  const { job, version } = trip;
  const quarantined = [...trip.quarantined];
  const left: string[] = [];
  if (version === null) return { quarantined, left };
  const quarantine = async (region: string): Promise<void> => {
    if (quarantined.includes(region)) return;
    try {
      await quarantineIn(regionDatabases, trip, version, region);
      quarantined.push(region);
    } catch (error) {
      left.push(`quarantine in ${region}: ${messageOf(error)}`);
    }
  };
  await quarantine(trip.region);
  try {
    const regions = (await gatesOf(regionDatabases.control)).get(job) ?? [];
    await Promise.all(regions.filter((region) => region !== trip.region).map(quarantine));
  } catch (error) {
    left.push(`quarantine elsewhere: ${messageOf(error)}`);
  }
  return { quarantined, left };
}

/** Ends the run of a trip whose worker is gone. Does nothing where the worker has ended it. */
async function endRun(owner: pg.Pool, trip: Trip, run: string): Promise<void> {
  const { rows } = await owner.query<Run>(
    `update portcullis_region.run set attempt = attempt + 1, worker = 'guard'
     where id = $1 and status in ('planning', 'applying') returning ${RUN_COLUMNS}`,
    [run],
  );
  const status = trip.stage === 'plan' ? 'refused' : 'killed';
  if (rows[0]) await finishRun(owner, rows[0], { status, code: 'guard-tripped', reason: reasonOf(trip) });
}

async function hasWritten(owner: pg.Pool, run: string): Promise<boolean> {
  const { rowCount } = await owner.query('select from portcullis_region.batch where run = $1 limit 1', [run]);
  return rowCount === 1;
}
