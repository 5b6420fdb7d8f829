import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type RateBatch, type RateState, startRate, stepRate, usualRate } from '../../../src/guard/rate.js';
import type { Judged } from '../../../src/containment/verdict.js';

const OPTIONS = { rule: 'conflicts', of: 'conflicts' as const, alpha: 0.001, p0: 0.01, plannedBatches: 40 };

function judgedAfter(
  batches: readonly RateBatch[],
  start: RateState = startRate(OPTIONS),
): { state: RateState; judged: Judged[] } {
  let state = start;
  const judged = batches.map((batch) => {
    const step = stepRate(state, batch);
    state = step.state;
    return step.judged;
  });
  return { state, judged };
}

const anyBatch = fc.tuple(fc.nat(500), fc.nat(30)).map(([n, x]): RateBatch => ({ n, x: Math.min(n, x) }));

describe('a rate', () => {
  test('as usual passes through a whole run', () => {
    const { judged } = judgedAfter(Array.from({ length: 40 }, () => ({ n: 500, x: 5 })));
    expect(judged.every(({ verdict }) => verdict === 'pass')).toBe(true);
  });

  test('that is bad from the start fails within a few batches', () => {
    const { judged } = judgedAfter(Array.from({ length: 4 }, () => ({ n: 100, x: 5 })));
    expect(judged.map(({ verdict }) => verdict)).toEqual(['pass', 'pass', 'fail', 'fail']);
    expect(judged[2]?.reason).toMatch(
      /^conflicts: 15 of 300 changes conflicted; 3 expected; chance \d\S* at most, limit 0.001$/,
    );
  });

  test('that goes bad midway fails soon after, whatever good came before', () => {
    const good = Array.from({ length: 30 }, () => ({ n: 500, x: 5 }));
    const bad = Array.from({ length: 10 }, () => ({ n: 100, x: 10 }));
    const { judged } = judgedAfter([...good, ...bad]);
    const first = judged.findIndex(({ verdict }) => verdict === 'fail');
    expect(first).toBeGreaterThanOrEqual(30);
    expect(first).toBeLessThan(33);
    expect(judged[first]?.reason).toMatch(
      /^conflicts: 10 of the last 100 changes conflicted; 1 expected; chance \S+ at most, limit 0.001$/,
    );
  });

  test('agrees with the formula, step by step, where logarithms are not needed', () => {
    const { alpha, p0, plannedBatches: planned } = { ...OPTIONS, plannedBatches: 5 };
    const batches = [
      { n: 10, x: 1 },
      { n: 20, x: 0 },
      { n: 50, x: 2 },
      { n: 100, x: 1 },
      { n: 30, x: 0 },
    ];
    let l = [1, 1, 1, 1];
    let r = [0, 0, 0, 0];
    const expected = batches.map(({ n, x }, index) => {
      const factors = [1.5, 2.5, 6, 25].map((ratio) => {
        const p = ratio * p0;
        return (p / p0) ** x * ((1 - p) / (1 - p0)) ** (n - x);
      });
      l = l.map((value, j) => value * (factors[j] ?? 0));
      r = r.map((value, j) => (1 + value) * (factors[j] ?? 0));
      const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / 4;
      return mean(l) / 2 + (mean(r) + planned - (index + 1)) / (2 * planned);
    });
    const { judged } = judgedAfter(
      batches,
      startRate({ rule: 'conflicts', alpha, p0, plannedBatches: planned }),
    );
    judged.forEach(({ figures }, index) => {
      expect(Number(figures['lnE'])).toBeCloseTo(Math.log(expected[index] ?? 0), 12);
    });
  });

  test('replays to the same figures, bit by bit, from its JSON at any cut', () => {
    fc.assert(
      fc.property(fc.array(anyBatch, { maxLength: 60 }), fc.nat(60), (batches, cut) => {
        const whole = judgedAfter(batches);
        const before = judgedAfter(batches.slice(0, cut));
        const revived = JSON.parse(JSON.stringify(before.state)) as RateState;
        const after = judgedAfter(batches.slice(cut), revived);
        expect([...before.judged, ...after.judged]).toStrictEqual(whole.judged);
        expect(JSON.stringify(after.state)).toBe(JSON.stringify(whole.state));
      }),
      { seed: 20261123 },
    );
  });

  test('is no better for one event more', () => {
    fc.assert(
      fc.property(fc.array(anyBatch, { minLength: 1, maxLength: 40 }), fc.nat(39), (batches, at) => {
        const worse = batches.map((batch, index) =>
          index === at ? { n: batch.n, x: Math.min(batch.n, batch.x + 1) } : batch,
        );
        const lnE = (all: readonly RateBatch[]): number[] =>
          judgedAfter(all, startRate({ ...OPTIONS, alpha: 1e-300 })).judged.map(({ figures }) =>
            Number(figures['lnE']),
          );
        const without = lnE(batches);
        lnE(worse).forEach((value, index) => {
          expect(value).toBeGreaterThanOrEqual((without[index] ?? 0) - 1e-9);
        });
      }),
      { seed: 20261123 },
    );
  });

  test('that has failed stays failed, with its first reason', () => {
    const { judged } = judgedAfter([
      { n: 100, x: 60 },
      ...Array.from({ length: 30 }, () => ({ n: 500, x: 0 })),
    ]);
    expect(new Set(judged.map(({ reason }) => reason)).size).toBe(1);
    expect(judged.at(-1)?.verdict).toBe('fail');
  });

  test('expected to be zero fails at one event, and not before', () => {
    const start = startRate({ ...OPTIONS, p0: 0 });
    const { judged } = judgedAfter(
      [
        { n: 500, x: 0 },
        { n: 500, x: 1 },
        { n: 500, x: 0 },
      ],
      start,
    );
    expect(judged.map(({ verdict }) => verdict)).toEqual(['pass', 'fail', 'fail']);
    expect(judged[1]?.reason).toBe('conflicts: 1 of 1,000 changes conflicted; none is allowed');
  });

  test('of which half are usual cannot be told', () => {
    const { judged } = judgedAfter([{ n: 500, x: 500 }], startRate({ ...OPTIONS, p0: 0.6 }));
    expect(judged[0]?.verdict).toBe('too-few');
  });

  test('beyond the planned batches is still judged', () => {
    const { judged } = judgedAfter([
      ...Array.from({ length: 60 }, () => ({ n: 100, x: 1 })),
      ...Array.from({ length: 10 }, () => ({ n: 100, x: 15 })),
    ]);
    expect(judged[59]?.verdict).toBe('pass');
    expect(judged.at(-1)?.verdict).toBe('fail');
  });

  test('is usual as far as the policy accepts it, or as accepted runs had it', () => {
    expect(usualRate(0.02, { changes: 0, events: 0 })).toBe(0.02);
    expect(usualRate(0.02, { changes: 100_000, events: 100 })).toBe(0.02);
    expect(usualRate(0.001, { changes: 10_000, events: 100 })).toBeCloseTo(
      (101.92 + 1.96 * Math.sqrt(100.96)) / 1e4,
      12,
    );
    expect(usualRate(0.001, { changes: 2, events: 2 })).toBe(1);
    expect(usualRate(0, { changes: 10_000, events: 100 })).toBe(0);
  });

  test('is not asked for with what cannot be', () => {
    expect(() => startRate({ ...OPTIONS, alpha: 0 })).toThrow(RangeError);
    expect(() => startRate({ ...OPTIONS, p0: -0.1 })).toThrow(RangeError);
    expect(() => startRate({ ...OPTIONS, plannedBatches: 0 })).toThrow(RangeError);
    for (const batch of [
      { n: 1, x: 2 },
      { n: 1.5, x: 1 },
      { n: 1, x: -1 },
      { n: Number.NaN, x: 0 },
    ]) {
      expect(() => stepRate(startRate(OPTIONS), batch)).toThrow(RangeError);
    }
  });
});
