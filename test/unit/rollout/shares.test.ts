import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { spansOf } from '../../../src/flags/definition.js';
import { sameShares, sharesWith, sharesWithout } from '../../../src/rollout/shares.js';
import type { Variant } from '../../../src/flags/variant.js';

const owner = (shares: readonly Variant[], bucket: number): string | undefined =>
  spansOf(shares).find(({ after, upTo }) => bucket > after && bucket <= upTo)?.version;

const base: Variant[] = [
  { version: '1.0.0_a', permille: 700 },
  { version: '0.9.0_b', permille: 200 },
];

describe("a candidate's share", () => {
  test('is taken from the first buckets, and the others keep what they had of the rest', () => {
    expect(sharesWith(base, '1.1.0_c', 100)).toEqual([
      { version: '1.1.0_c', permille: 100 },
      { version: '1.0.0_a', permille: 600 },
      { version: '0.9.0_b', permille: 200 },
    ]);
    expect(sharesWith(base, '1.1.0_c', 750)).toEqual([
      { version: '1.1.0_c', permille: 750 },
      { version: '0.9.0_b', permille: 150 },
    ]);
    expect(sharesWith(base, '1.1.0_c', 1000)).toEqual([{ version: '1.1.0_c', permille: 1000 }]);
    expect(sharesWith([], '1.1.0_c', 5)).toEqual([{ version: '1.1.0_c', permille: 5 }]);
  });

  test('leaves every organisation that it does not take with the version that had it', () => {
    const shares = fc.uniqueArray(
      fc.record({ version: fc.constantFrom('a', 'b', 'd'), permille: fc.integer({ min: 1, max: 333 }) }),
      {
        selector: ({ version }) => version,
      },
    );
    fc.assert(
      fc.property(
        shares,
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 1000 }),
        (before, permille, bucket) => {
          const after = sharesWith(before, 'c', permille);
          expect(owner(after, bucket)).toBe(bucket <= permille ? 'c' : owner(before, bucket));
          expect(after.reduce((sum, each) => sum + each.permille, 0)).toBeLessThanOrEqual(1000);
        },
      ),
    );
  });

  test('is gone without it, and only equal shares in equal order are the same', () => {
    const shares = sharesWith(base, '1.1.0_c', 100);
    expect(sharesWithout(shares, '1.1.0_c').map(({ version }) => version)).toEqual(['1.0.0_a', '0.9.0_b']);
    expect(sameShares(shares, [...shares])).toBe(true);
    expect(sameShares(shares, shares.toReversed())).toBe(false);
    expect(sameShares(shares, base)).toBe(false);
  });
});
