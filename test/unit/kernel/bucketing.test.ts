import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import murmur3 from 'murmurhash3js';
import { bucketsOf, laneOf } from '../../../src/kernel/bucketing.js';
import { murmur, murmurWithPrefix } from '../../../src/kernel/murmur.js';
import { anyCharacter } from '../../support/any-character.js';

const anyText = fc.oneof(fc.string({ unit: anyCharacter }), fc.string({ unit: 'grapheme' }), fc.string());

describe('hashing', () => {
  test('equals murmurhash3js for every text and seed, also beyond ASCII', () => {
    fc.assert(
      fc.property(anyText, fc.nat(), (text, seed) => {
        expect(murmur(text, seed)).toBe(murmur3.x86.hash32(text, seed));
      }),
      { numRuns: 1_000 },
    );
  });

  test('a prefix hashed once gives what the joined text gives, wherever the two meet in a word', () => {
    fc.assert(
      fc.property(anyText, anyText, fc.nat(), (prefix, text, seed) => {
        expect(murmurWithPrefix(prefix, seed)(text)).toBe(murmur3.x86.hash32(prefix + text, seed));
      }),
      { numRuns: 1_000 },
    );
  });

  test('keeps to known values, so that a stored share keeps its units across releases', () => {
    expect(murmur('', 0)).toBe(0);
    expect(murmur('hello', 0)).toBe(0x248bfa47);
    expect(murmur('The quick brown fox jumps over the lazy dog', 0)).toBe(0x2e4ff723);
  });
});

describe('buckets', () => {
  test('run from 1 to 1000, the same whichever units came before', () => {
    fc.assert(
      fc.property(anyText, anyText, (flag, unit) => {
        const bucketOf = bucketsOf(flag);
        const bucket = bucketOf(unit);
        expect(bucket).toBeGreaterThanOrEqual(1);
        expect(bucket).toBeLessThanOrEqual(1000);
        bucketOf(`${unit}x`);
        expect(bucketOf(unit)).toBe(bucket);
      }),
    );
  });

  test('spread evenly: of 100,000 units, each tenth of the range gets a tenth within 3 %', () => {
    const bucket = bucketsOf('domain-claim.eu-west-1');
    const tenths = new Array<number>(10).fill(0);
    for (let unit = 0; unit < 100_000; unit += 1) {
      const tenth = Math.floor((bucket(`org-${unit}`) - 1) / 100);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(300);
  });
});

describe('lanes', () => {
  test('run from 0 to lanes - 1', () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 32 }), (unit, lanes) => {
        const lane = laneOf(unit, lanes);
        expect(lane).toBeGreaterThanOrEqual(0);
        expect(lane).toBeLessThan(lanes);
      }),
    );
  });
});
