import type { GuardPolicy } from '../../flags/guard-policy.js';
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
