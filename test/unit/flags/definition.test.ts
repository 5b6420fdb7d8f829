import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { jobAndRegion, narrowed } from '../../../src/flags/definition.js';
import type { Variant } from '../../../src/flags/variant.js';

/** Up to five versions whose shares fit into 1000. */
const variants: fc.Arbitrary<Variant[]> = fc
  .uniqueArray(fc.constantFrom('1.0.0_a', '1.1.0_b', '2.0.0_c', '2.1.0_d', '3.0.0_e'), { maxLength: 5 })
  .chain((versions) =>
    fc
      .array(fc.integer({ min: 1, max: 400 }), { minLength: versions.length, maxLength: versions.length })
      .map((shares) => fitted(versions, shares)),
  );

function fitted(versions: readonly string[], shares: readonly number[]): Variant[] {
  let left = 1000;
  return versions.flatMap((version, at) => {
    const permille = Math.min(shares[at] ?? 0, left);
    left -= permille;
    return permille > 0 ? [{ version, permille }] : [];
  });
}

/** The version of each bucket, from 1 to 1000, laid out one by one. */
function buckets(shares: readonly Variant[]): (string | undefined)[] {
  const filled = shares.flatMap(({ version, permille }) => new Array<string>(permille).fill(version));
  return [...filled, ...new Array<undefined>(1000 - filled.length).fill(undefined)];
}

describe('narrowing', () => {
  test('is when some bucket that had a version no longer has it, whatever the shares', () => {
    fc.assert(
      fc.property(variants, variants, (before, after) => {
        const then = buckets(before);
        const now = buckets(after);
        const losers = then.filter((version, at) => version !== undefined && now[at] !== version);
        expect(new Set(narrowed(before, after))).toEqual(new Set(losers));
      }),
      { numRuns: 1_000 },
    );
  });

  const a = (permille: number): Variant => ({ version: 'a', permille });
  const b = (permille: number): Variant => ({ version: 'b', permille });

  test.each<[string, Variant[], Variant[], boolean]>([
    ['nothing to something', [], [a(1)], false],
    ['something to nothing', [a(1)], [], true],
    ['the same', [a(10), b(20)], [a(10), b(20)], false],
    ['the only share grown', [a(10)], [a(11)], false],
    ['the only share shrunk by the least', [a(11)], [a(10)], true],
    ['a last share added', [a(10)], [a(10), b(1)], false],
    ['a candidate put in front', [b(1000)], [a(1), b(999)], true],
    ['the order turned', [a(10), b(10)], [b(10), a(10)], true],
    ['another version in the same place', [a(10)], [b(10)], true],
    ['another rule for the same share', [a(10)], [{ ...a(10), rule: 'x' }], true],
    ['the same rule', [{ ...a(10), rule: 'x' }], [{ ...a(20), rule: 'x' }], false],
  ])('%s', (_, before, after, taken) => {
    expect(narrowed(before, after).length > 0).toBe(taken);
  });
});

describe("a flag's name", () => {
  test('is a job and a region', () => {
    expect(jobAndRegion('domain-claim.eu-west-1')).toEqual({ job: 'domain-claim', region: 'eu-west-1' });
  });

  test.each(['', 'domain-claim', '.eu', 'a.', 'a.b.c', 'A.b', '__proto__.b', 'a b.c'])(
    'is not %j',
    (name) => {
      expect(jobAndRegion(name)).toBeUndefined();
    },
  );
});
