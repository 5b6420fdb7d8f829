import type pg from 'pg';
import type { Log } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { carryOutTrip, concludeTrip, type Tripped, type TripDatabases } from './trip.js';
import { forsakenTrips, type Trip } from './trip-row.js';

/** What a worker, which may neither kill nor touch a flag, has others do when a rule has failed. */
export interface Tripwire {
  /** Closes what the trip closes, and does all the rest that can be done now: see `carryOutTrip`. */
  carryOut(trip: Trip): Promise<Tripped>;
  /** To be called once the trip's run is over: see `concludeTrip`. */
  conclude(tripped: Tripped): Promise<void>;
  /** Brings to their end the trips in a region database that were left unfinished and nobody is at. */
  finishForsaken(region: pg.Pool): Promise<void>;
}

/** A tripwire that measures and logs what it does. */
export function createTripwire(regionDatabases: TripDatabases, metrics: Metrics, log: Log): Tripwire {
  const wire: Tripwire = {
    async carryOut(trip) {
      const tripped = await carryOutTrip(regionDatabases, trip);
      const { job, region, version, id, run, failed, stage } = trip;
      const { close, why } = tripped.trip.closed;
      if (trip.fencedAt === null) {
        for (const { rule } of failed) metrics.guardTrip({ job, region, rule });
        metrics.tripSeconds('fence', tripped.fenceMs / 1_000);
        const detectMs = await detectedAfterMs(regionDatabases, trip);
        if (detectMs !== undefined) metrics.tripSeconds('detect', detectMs / 1_000);
        const rules = failed.map(({ rule }) => rule);
        log.warn(
          {
            code: 'guard-tripped',
            trip: id,
            runId: run,
            job,
            region,
            version,
            stage,
            rules,
            closed: close,
            why,
          },
          failed[0].reason,
        );
      }
      if (tripped.left.length > 0) {
        log.error(
          { code: 'trip-unfinished', trip: id, job, region, left: tripped.left },
          'tried again until it is done',
        );
      }
      return tripped;
    },
    conclude: (tripped) => concludeTrip(regionDatabases, tripped),
    async finishForsaken(region) {
      for (const trip of await forsakenTrips(region)) await wire.conclude(await wire.carryOut(trip));
    },
  };
  return wire;
}

/**
 * From the first batch with a bad change to the trip. A plan is judged before any; of a version that bakes, the
 * guard does not know which change was the first bad one.
 */
async function detectedAfterMs(
  regionDatabases: TripDatabases,
  { run, stage, region, at }: Trip,
): Promise<number | undefined> {
  if (stage === 'plan') return 0;
  if (run === null || stage === 'bake') return undefined;
  const { rows } = await regionDatabases.ownerOf(region).query<{ first: Date | null }>(
    `select min(b.applied_at) as first from portcullis_region.batch b
     where b.run = $1 and exists (
       select from portcullis_region.conflict x
       where x.run = b.run and x.lane = b.lane and x.seq > b.from_seq and x.seq <= b.to_seq)`,
    [run],
  );
  const first = rows[0]?.first;
  return first ? Math.max(0, at.getTime() - first.getTime()) : undefined;
}
