import { bucketsOf, hasBucket, type Buckets } from '../kernel/bucketing.js';
import { type FlagDefinition, spansOf } from './definition.js';

/** The units that a flag gives to a version, as jobs see them. */
export interface AdmittedUnits {
  readonly size: number;
  has(unit: string): boolean;
  [Symbol.iterator](): IterableIterator<string>;
}

/**
 * Draws a version's units by their buckets, for a definition whose shares alone decide. The empty unit is
 * nobody and is never drawn.
 */
export function unitsByBucket(
  definition: FlagDefinition,
  version: string,
  units: Iterable<string>,
): Set<string> {
  const admitted = new Set<string>();
  const given = spansGiven(definition, version);
  if (!definition.enabled || given.length === 0) return admitted;
  const group = typeof definition.bucketing === 'object' ? definition.bucketing.group : definition.name;
  const bucket = bucketsOf(group);
  for (const unit of units) {
    if (unit === '') continue;
    if (hasBucket(given, bucket(unit))) admitted.add(unit);
  }
  return admitted;
}

/**
 * The buckets, under the flag's own name, of the units that a definition gives to a version; undefined where
 * something else decides.
 */
export function bucketsGiven(definition: FlagDefinition, version: string): Buckets | undefined {
  return definition.bucketing === undefined ? spansGiven(definition, version) : undefined;
}

function spansGiven({ variants }: FlagDefinition, version: string): Buckets {
  return spansOf(variants)
    .filter((span) => span.version === version)
    .map(({ after, upTo }) => [after, upTo]);
}
