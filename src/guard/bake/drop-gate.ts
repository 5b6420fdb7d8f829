import type pg from 'pg';
import type { GuardPolicy } from '../../flags/guard-policy.js';
import type { Closing } from '../closing.js';
import { failedRule, writeTrip } from '../trip-row.js';
import type { Tripwire } from '../tripwire.js';
import type { Judged } from '../verdict.js';

/** What failed while a version baked, and where. */
export interface BakeFailure {
  readonly job: string;
  readonly region: string;
  /** Null where no one version is to blame, as for an alert that names none. */
  readonly version: string | null;
  /** All that failed together. */
  readonly failed: readonly [Judged, ...Judged[]];
  readonly restore: GuardPolicy['onTrip']['restore'];
  /** What is to be closed: see `closingOf`. */
  readonly closing: Closing;
}

/**
 * Trips: when this answers what it has closed, nothing of it can commit in the region. Throws where the region can't be
 * reached.
 */
export type DropGate = (failure: BakeFailure) => Promise<Closing>;

/** Drops gates as a run's rules do: written down first, so that what is left undone is done by somebody. */
export function dropGateBy(ownerOf: (region: string) => pg.Pool, trips: Tripwire): DropGate {
  return async ({ job, region, version, failed: [first, ...others], restore, closing }) => {
    const trip = await writeTrip(ownerOf(region), {
      ...{ job, region, version, restore, closing, run: null, stage: 'bake' },
      failed: [failedRule(first), ...others.map(failedRule)],
    });
    const tripped = await trips.carryOut(trip);
    await trips.conclude(tripped);
    return tripped.trip.closed;
  };
}
