import type pg from 'pg';
import type { GuardPolicy } from '../../flags/guard-policy.js';
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
}

/** Trips: when this answers, nothing of it can commit in the region. Throws where the region can't be reached. */
export type DropGate = (failure: BakeFailure) => Promise<void>;

/** Drops gates as a run's rules do: written down first, so that what is left undone is done by somebody. */
export function dropGateBy(ownerOf: (region: string) => pg.Pool, trips: Tripwire): DropGate {
  return async ({ job, region, version, failed: [first, ...others], restore }) => {
    const trip = await writeTrip(ownerOf(region), {
      ...{ job, region, version, restore, run: null, stage: 'bake' },
      failed: [failedRule(first), ...others.map(failedRule)],
    });
    await trips.conclude(await trips.carryOut(trip));
  };
}
