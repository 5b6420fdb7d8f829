import murmur from 'murmurhash3js';

/** The whole of a flag's weight. A share is counted in thousandths, so steps of 0.1 % are exact. */
export const WHOLE_PERMILLE = 1000;

/** unleash-client's seed for variants; another seed would give other units than Unleash does. */
const VARIANT_SEED = 86028157;

/**
 * The bucket, 1 to 1000, of a unit under a flag. Equal to unleash-client's `normalizedVariantValue` for a
 * total weight of 1000 (property-tested against it), so that asking in bulk and asking one by one agree.
 */
export function bucketOf(flag: string, unit: string): number {
  return (murmur.x86.hash32(`${flag}:${unit}`, VARIANT_SEED) % WHOLE_PERMILLE) + 1;
}

/** A lane, 0 to lanes - 1, for a unit: all changes of one unit keep their order within one lane. */
export function laneOf(unit: string, lanes: number): number {
  return murmur.x86.hash32(unit, 0) % lanes;
}
