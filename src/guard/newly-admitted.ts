import { bucketsOf, hasBucket, type Buckets } from '../kernel/bucketing.js';
import { flagName } from '../flags/definition.js';
import type { PlanCounts } from '../journal/plan-tally.js';
import { newlyAdmittedAmong, type Covering } from './coverage.js';

/** Those of a run's units that history does not know. */
export interface NewlyAdmitted {
  readonly buckets: Buckets;
  readonly units: ReadonlySet<string>;
}

/** What of a run is left out of history, as the run keeps it. */
export interface NewlyAdmittedKept {
  readonly buckets: Buckets;
  /** How many of the admitted units. */
  readonly admitted: number;
  /** Number of their changes by kind. */
  readonly changes: PlanCounts['counts'];
  /** Number of them that have changes, by kind. */
  readonly units: PlanCounts['unitCounts'];
}

const NOBODY: NewlyAdmitted = { buckets: [], units: new Set() };

/** Finds the newly admitted among `units`, which a run is admitted for by the buckets of its flag. */
export function newlyAdmittedOf(
  history: readonly Covering[],
  run: { readonly job: string; readonly region: string; readonly createdAt: Date },
  covered: Buckets | undefined,
  units: Iterable<string>,
): NewlyAdmitted {
  const buckets = newlyAdmittedAmong(history, { at: run.createdAt, covered });
  if (buckets.length === 0) return NOBODY;
  const bucketOf = bucketsOf(flagName(run.job, run.region));
  return { buckets, units: new Set([...units].filter((unit) => hasBucket(buckets, bucketOf(unit)))) };
}

/** Undefined where there are none. */
export function keptOf({ buckets, units }: NewlyAdmitted, apart: PlanCounts): NewlyAdmittedKept | undefined {
  if (buckets.length === 0) return undefined;
  return { buckets, admitted: units.size, changes: apart.counts, units: apart.unitCounts };
}
