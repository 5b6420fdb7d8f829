import { WHOLE_PERMILLE } from '../kernel/bucketing.js';
import { spansOf } from '../flags/definition.js';
import type { Variant } from '../flags/variant.js';

/**
 * The shares of a flag in which a candidate has the first `permille` buckets and every other version keeps those
 * it had of the rest. So a growing share never drops a unit that the candidate had, and whom the
 * candidate doesn't have nobody loses. Pure.
 */
export function sharesWith(base: readonly Variant[], version: string, permille: number): Variant[] {
  const others = spansOf(base)
    .filter((span) => span.version !== version)
    .map(({ version: other, after, upTo }) => ({
      version: other,
      permille: Math.min(WHOLE_PERMILLE, upTo) - Math.max(after, permille),
    }));
  return [{ version, permille }, ...others].filter((each) => each.permille > 0);
}

/** The shares without a version; the others' are as they were in number, the first buckets first. */
export function sharesWithout(shares: readonly Variant[], version: string): Variant[] {
  return shares.filter((each) => each.version !== version);
}

/** Whether two flags give the same shares in the same order. */
export function sameShares(one: readonly Variant[], other: readonly Variant[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ version, permille }, at) => {
      const like = other[at];
      return like?.version === version && like.permille === permille;
    })
  );
}
