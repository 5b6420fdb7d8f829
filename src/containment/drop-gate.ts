import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { GuardPolicy } from '../flags/guard-policy.js';
import type { Closing } from './closing.js';
import { failedRule, writeTrip, type TripOrder } from './trip-row.js';
import type { Tripwire } from './tripwire.js';
import type { Judged } from './verdict.js';

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
  /**
   * Names the one event that was reported, where it may be reported again or by two at once: it trips once in a region,
   * and a report that comes later carries that trip on. Absent: each report is an event of its own.
   */
  readonly event?: string;
}

/**
 * Trips: when this answers what it has closed, nothing of it can commit in the region. Throws where the region can't be
 * reached.
 */
export type DropGate = (failure: BakeFailure) => Promise<Closing>;

/** Drops gates as a run's rules do: written down first, so that what is left undone is done by somebody. */
export function dropGateBy(ownerOf: (region: string) => pg.Pool, trips: Tripwire): DropGate {
  return async ({ job, region, version, failed: [first, ...others], restore, closing, event }) => {
    const order: TripOrder = {
      ...{ job, region, version, restore, closing, run: null, stage: 'bake' },
      failed: [failedRule(first), ...others.map(failedRule)],
    };
    const id = event === undefined ? undefined : idOf([job, region, event]);
    const tripped = await trips.carryOut(await writeTrip(ownerOf(region), order, id));
    await trips.conclude(tripped);
    return tripped.trip.closed;
  };
}

/** The UUID (of version 8) that these names always have. */
function idOf(names: readonly string[]): string {
  const hex = createHash('sha256').update(JSON.stringify(names)).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
