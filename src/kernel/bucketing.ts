import { murmur, murmurWithPrefix } from './murmur.js';

/** The whole of a flag's weight. A share is counted in thousandths, so steps of 0.1 % are exact. */
export const WHOLE_PERMILLE = 1000;

/** unleash-client's seed for variants; another seed would give other units than Unleash does. */
const VARIANT_SEED = 86028157;

/**
 * Answers a function from a unit to its bucket, 1 to 1000, under a flag. Equal to unleash-client's
 * `normalizedVariantValue` for a total weight of 1000 (property-tested against it), so that asking in bulk
 * and asking one by one agree. For many units of one flag: the flag's name is hashed once.
 */
export function bucketsOf(flag: string): (unit: string) => number {
  const hash = murmurWithPrefix(`${flag}:`, VARIANT_SEED);
  return (unit) => (hash(unit) % WHOLE_PERMILLE) + 1;
}

/** Buckets of a flag, as spans: above the first number, up to and including the second. */
export type Buckets = readonly (readonly [after: number, upTo: number])[];

export const EVERY_BUCKET: Buckets = [[0, WHOLE_PERMILLE]];

export function hasBucket(buckets: Buckets, bucket: number): boolean {
  return buckets.some(([after, upTo]) => bucket > after && bucket <= upTo);
}

/** A lane, 0 to lanes - 1, for a unit: all changes of one unit keep their order within one lane. */
export function laneOf(unit: string, lanes: number): number {
  return murmur(unit, 0) % lanes;
}
