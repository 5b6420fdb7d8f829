import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type BetaNegativeBinomial,
  lnLowerTail,
  lnMass,
  lnUpperTail,
} from '../../../src/guard/beta-negative-binomial.js';

const K = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 512];

/** What a history of `runs` counts with this mean tells of k. */
function learnt(k: number, runs: number, mean: number): BetaNegativeBinomial {
  return { k, a: 0.5 + k * runs, b: 0.5 + mean * runs };
}

/** P(Y < y), term by term. */
function plainSumBelow(distribution: BetaNegativeBinomial, y: number): number {
  let sum = 0;
  for (let t = 0; t < y; t += 1) sum += Math.exp(lnMass(distribution, t));
  return sum;
}

/** P(y ≤ Y < y + terms) against P(Y = y), term by term; cut where nothing is left. */
function plainSumFrom(distribution: BetaNegativeBinomial, y: number, terms: number): number {
  const first = lnMass(distribution, y);
  let sum = 0;
  for (let t = y; t < y + terms; t += 1) {
    const term = Math.exp(lnMass(distribution, t) - first);
    sum += term;
    if (term < 1e-17 * sum) break;
  }
  return sum;
}

const anyDistribution = fc
  .tuple(
    fc.constantFrom(...K),
    fc.integer({ min: 3, max: 60 }),
    fc.double({ min: 0.1, max: 400, noNaN: true }),
  )
  .map(([k, runs, mean]) => learnt(k, runs, mean));

describe('the tails of a beta negative binomial', () => {
  test('are the plain sums of its chances', () => {
    fc.assert(
      fc.property(anyDistribution, fc.nat(800), (distribution, y) => {
        const below = plainSumBelow(distribution, y);
        expect(Math.abs(Math.exp(lnUpperTail(distribution, y)) - (1 - below))).toBeLessThan(1e-9);
        const upTo = below + Math.exp(lnMass(distribution, y));
        expect(Math.exp(lnLowerTail(distribution, y)) / upTo).toBeCloseTo(1, 8);
      }),
      { numRuns: 300, seed: 20261123 },
    );
  });

  test('are exact far out, where they are smaller than any difference from 1', () => {
    for (const k of K) {
      for (const [runs, mean, y] of [
        [30, 5, 90],
        [100, 50, 900],
        [300, 8, 300],
      ] as const) {
        const distribution = learnt(k, runs, mean);
        const tail = lnUpperTail(distribution, y) - lnMass(distribution, y);
        expect(Math.exp(tail) / plainSumFrom(distribution, y, 200_000)).toBeCloseTo(1, 8);
      }
    }
  });

  test('are exact where they fall as slowly as a power does', () => {
    // For k = ½ after three runs, P(Y ≥ y) shrinks fourfold where y doubles.
    const distribution = learnt(0.5, 3, 4);
    const far = lnUpperTail(distribution, 10_000_000);
    expect(Math.exp(lnUpperTail(distribution, 20_000_000) - far)).toBeCloseTo(0.25, 6);
    for (const y of [1, 20, 1_000, 50_000]) {
      const first = lnMass(distribution, y);
      const rest = Math.exp(lnUpperTail(distribution, y + 20_000) - first);
      const tail = Math.exp(lnUpperTail(distribution, y) - first);
      expect(tail / (plainSumFrom(distribution, y, 20_000) + rest)).toBeCloseTo(1, 8);
    }
  });

  test('take each other up: P(Y ≥ y) + P(Y < y) = 1, and each step is the chance itself', () => {
    fc.assert(
      fc.property(anyDistribution, fc.integer({ min: 1, max: 5_000 }), (distribution, y) => {
        const upper = Math.exp(lnUpperTail(distribution, y));
        expect(upper + Math.exp(lnLowerTail(distribution, y - 1))).toBeCloseTo(1, 9);
        const step = upper - Math.exp(lnUpperTail(distribution, y + 1));
        expect(step).toBeCloseTo(Math.exp(lnMass(distribution, y)), 9);
      }),
      { seed: 20261123 },
    );
  });

  test('never grow with the count above, and never shrink below', () => {
    fc.assert(
      fc.property(anyDistribution, fc.nat(10_000_000), fc.nat(1_000), (distribution, y, more) => {
        const slack = 1e-9;
        expect(lnUpperTail(distribution, y + more)).toBeLessThanOrEqual(lnUpperTail(distribution, y) + slack);
        expect(lnLowerTail(distribution, y + more)).toBeGreaterThanOrEqual(
          lnLowerTail(distribution, y) - slack,
        );
      }),
      { seed: 20261123 },
    );
  });

  test('begin and end where they must', () => {
    const distribution = learnt(2, 30, 50);
    expect(lnUpperTail(distribution, 0)).toBe(0);
    expect(lnLowerTail(distribution, -1)).toBe(-Infinity);
    expect(lnLowerTail(distribution, 0)).toBeCloseTo(lnMass(distribution, 0), 12);
  });

  test('do not take longer for ten million than for ten', () => {
    // What would go through all counts does 1e10 steps here, and not in an hour.
    for (let round = 0; round < 100; round += 1) {
      for (const k of K) {
        const distribution = learnt(k, 100, 9_000_000);
        expect(lnUpperTail(distribution, 10_000_000 + round)).toBeLessThan(0);
        expect(lnLowerTail(distribution, 8_000_000 - round)).toBeLessThan(0);
      }
    }
  }, 20_000);
});
