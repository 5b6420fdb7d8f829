import { bucketsOf } from '../base/bucketing.js';
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
  const spans = spansOf(definition.variants).filter((span) => span.version === version);
  if (!definition.enabled || spans.length === 0) return admitted;
  const group = typeof definition.bucketing === 'object' ? definition.bucketing.group : definition.name;
  const bucket = bucketsOf(group);
  for (const unit of units) {
    if (unit === '') continue;
    const at = bucket(unit);
    if (spans.some(({ after, upTo }) => at > after && at <= upTo)) admitted.add(unit);
  }
  return admitted;
}
