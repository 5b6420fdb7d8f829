import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { judgeCount, type CountJudged } from '../../../src/guard/count.js';
import { CountHistory, type CountedRun } from '../../../src/guard/count-history.js';
import {
  addCount,
  likelyBetween,
  lnAtLeast,
  noSums,
  predictAfter,
  unlikelyFrom,
  unlikelyUpTo,
  type CountPrediction,
} from '../../../src/guard/count-prediction.js';

const DAY_MS = 86_400_000;
const OPTIONS = { rule: 'claims-per-run', alpha: 2.5e-4, floor: 20 };

function daily(counts: readonly number[], units = 1_000): CountedRun[] {
  return counts.map((count, day) => ({ at: day * DAY_MS, count, units }));
}

function judged(history: readonly CountedRun[], count: number, units = 1_000): CountJudged {
  return judgeCount(history, { count, units, at: history.length * DAY_MS }, OPTIONS);
}

/** What counts say of the next, of which each says as much as the next. */
function predicted(counts: readonly number[]): CountPrediction {
  const sums = noSums();
  for (const count of counts) addCount(sums, count, 1);
  return predictAfter(sums, null, undefined);
}

/** 27 runs around 40, between 34 and 46. */
const STEADY = daily(Array.from({ length: 27 }, (_, run) => 34 + ((run * 7) % 13)));

describe('a count', () => {
  test.each([
    [0, 'fail', 'hold'],
    [10, 'fail', 'hold'],
    [25, 'pass', undefined],
    [40, 'pass', undefined],
    [60, 'pass', undefined],
    [80, 'fail', undefined],
    [4_812, 'fail', undefined],
    [10_000_000, 'fail', undefined],
  ])('of %i where about 40 are usual: %s', (count, verdict, worth) => {
    expect(judged(STEADY, count)).toMatchObject({ verdict, ...(worth && { worth }) });
    if (worth === undefined) expect(judged(STEADY, count)).not.toHaveProperty('worth');
  });

  test('is judged in words, with its figures', () => {
    const { reason, figures, rule } = judged(STEADY, 4_812);
    expect(rule).toBe('claims-per-run');
    expect(reason).toBe(
      'claims-per-run: 4,812 planned; runs plan 40 (27–54), 27 runs; chance 1.5e-84, limit 2.5e-4',
    );
    expect(figures).toMatchObject({ observed: 4_812, low: 27, high: 54, samples: 27, limit: 2.5e-4 });
  });

  test('of units is judged by the same figures, in words of its own', () => {
    const runs = STEADY.map((run) => ({ ...run, count: 1 }));
    const said = (count: number, of: 'changes' | 'units', history: readonly CountedRun[] = runs) =>
      judgeCount(history, { count, units: 20, at: runs.length * DAY_MS }, { ...OPTIONS, rule: 'reach', of });
    expect(said(20, 'units').reason).toMatch(
      /^reach: planned for 20 units; runs plan for 0\.02 \(0–1\), 27 runs; chance /,
    );
    expect(said(1, 'units').reason).toMatch(/^reach: planned for 1 unit; runs plan for /);
    expect(said(7, 'units', []).reason).toBe(
      'reach: planned for 7 units; 0 runs before it are too few to compare with',
    );
    fc.assert(
      fc.property(fc.nat(5_000), (count) => {
        const { verdict, figures } = said(count, 'units');
        expect(said(count, 'changes')).toMatchObject({ verdict, figures });
      }),
      { seed: 20261123, numRuns: 20 },
    );
  });

  test('says beside how many units were newly admitted, and what is planned for them', () => {
    const at = STEADY.length * DAY_MS;
    const apart = { units: 40, count: 312 };
    const beside = judgeCount(STEADY, { count: 41, units: 1_000, at, apart }, OPTIONS);
    expect(beside.reason).toBe(
      `${judged(STEADY, 41).reason}; 40 newly admitted units (312 planned) excluded from count rules`,
    );
    expect(beside.figures).toEqual({
      ...judged(STEADY, 41).figures,
      ...{ newcomers: 40, plannedForNewcomers: 312 },
    });
    const alone = { count: 0, units: 0, at, apart: { units: 1, count: 1 } };
    expect(judgeCount(STEADY, alone, { ...OPTIONS, of: 'units' })).toMatchObject({
      verdict: 'too-few',
      reason:
        'claims-per-run: no unit of the run has a history; 1 newly admitted unit (planned for 1 unit) excluded from count rules',
    });
  });

  test('of many units is told less by runs of few, and of few no less by runs of many', () => {
    const few = daily(
      Array.from({ length: 20 }, () => 0),
      1,
    );
    const many = daily(
      Array.from({ length: 20 }, () => 0),
      1_000,
    );
    const after = (history: readonly CountedRun[], units: number): number =>
      judged(history, 25, units).figures['p'] as number;
    expect(after(few, 100)).toBeGreaterThan(0.2);
    expect(after(few, 1)).toBeLessThan(0.03);
    expect(after(many, 100)).toBe(after(many, 1_000));
  });

  test('agrees with the formula, written out for a history of three and one k', () => {
    // k = 1, p ~ Beta(½ + 3, ½ + 6): P(Y ≥ y) = B(3.5, 6.5 + y)/B(3.5, 6.5).
    const prediction = predicted([1, 2, 3]);
    const one = prediction.components.find(({ given }) => given.k === 1);
    expect(one?.given).toMatchObject({ k: 1, a: 3.5, b: 6.5 });
    const chances = prediction.components.map(({ lnWeight }) => Math.exp(lnWeight));
    expect(chances.reduce((sum, each) => sum + each)).toBeCloseTo(1, 12);
    // π_k ∝ k^−½ · B(A_k, B) · Π Γ(y + k)/(Γ(k) y!); for k = 1 and 2 without any gamma: the ratio by hand.
    // B(6.5, 6.5)/B(3.5, 6.5) = Γ(6.5)·Γ(10)/(Γ(3.5)·Γ(13)) = (5.5·4.5·3.5)/(12·11·10); Π (y + 1) = 24.
    const two = prediction.components.find(({ given }) => given.k === 2);
    const ratio = Math.exp((two?.lnWeight ?? 0) - (one?.lnWeight ?? 0));
    expect(ratio).toBeCloseTo((((5.5 * 4.5 * 3.5) / (12 * 11 * 10)) * 24) / Math.SQRT2, 10);
  });

  test('is too few to say with fewer than three runs, or without a unit', () => {
    for (const runs of [0, 1, 2]) expect(judged(STEADY.slice(0, runs), 10_000).verdict).toBe('too-few');
    expect(judged(STEADY.slice(0, 3), 10_000).verdict).toBe('fail');
    expect(judged(STEADY, 40, 0).verdict).toBe('too-few');
    expect(judged(daily([5, 5, 5], 0), 40).reason).toBe(
      'claims-per-run: 40 planned; 0 runs before it are too few to compare with',
    );
  });

  test('below the floor is never too many, and where fewer are expected none is too few', () => {
    const quiet = daily(Array.from({ length: 30 }, () => 1));
    expect(judged(quiet, 19).verdict).toBe('pass');
    expect(judged(quiet, 20).verdict).toBe('fail');
    expect(judged(daily(Array.from({ length: 30 }, () => 19)), 0).verdict).toBe('pass');
    expect(judged(daily(Array.from({ length: 30 }, () => 21)), 0).verdict).toBe('fail');
  });

  // Were the floor lowered by the share, nearly every such run would trip.
  test('of one organisation that comes in whole is excused by the floor, in a canary as everywhere', () => {
    // A region of 50 organisations, of which now and then one of 60 accounts comes in.
    const whole = daily(
      Array.from({ length: 100 }, (_, run) => (run % 8 === 0 ? 60 : 1)),
      50,
    );
    const floored = (floor: number, units: number) =>
      judgeCount(whole, { count: 60, units, at: whole.length * DAY_MS }, { ...OPTIONS, floor }).verdict;
    for (const units of [1, 5, 50]) expect(floored(300, units)).toBe('pass');
    expect(floored(300 / 50, 1)).toBe('fail');
  });

  test('of a job that never planned anything is left to caps, until some two thousand runs say so', () => {
    const never = (runs: number): CountedRun[] => daily(Array.from({ length: runs }, () => 0));
    expect(judged(never(30), 0).verdict).toBe('pass');
    expect(judged(never(30), 30)).toMatchObject({ verdict: 'pass', figures: { p: 0.5 / 31 } });
    const hourly = never(2_200).map((run, at) => ({ ...run, at: (at * DAY_MS) / 96 }));
    const now = { count: 30, units: 1_000, at: (2_200 * DAY_MS) / 96 };
    expect(judgeCount(hourly, now, OPTIONS).verdict).toBe('fail');
  });

  test('of a canary is expected to be its share of a full run', () => {
    expect(judged(STEADY, 40, 10)).toMatchObject({ verdict: 'fail', figures: { observed: 40 } });
    expect(judged(STEADY, 1, 10).figures['expected']).toBeCloseTo(0.4, 1);
  });

  test('depends on the units by their ratio only', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(500), { minLength: 3, maxLength: 40 }), fc.nat(5_000), (counts, count) => {
        const many = judged(daily(counts, 4_096), count, 2_048);
        const few = judged(daily(counts, 2), count, 1);
        // The level is kept for one unit.
        const { level = 0 } = few.state;
        expect(many.state.level ?? 0).toBe(level / 2_048);
        expect({ ...few, state: { ...few.state, level } }).toEqual({
          ...many,
          state: { ...many.state, level },
        });
      }),
      { seed: 20261123, numRuns: 40 },
    );
  });

  test('is no likelier when it is greater, and one that fails never passes by growing', () => {
    const runs = fc.array(fc.nat(2_000), { minLength: 3, maxLength: 60 });
    fc.assert(
      fc.property(runs, fc.nat(1_000_000), fc.nat(1_000_000), (counts, one, other) => {
        const history = daily(counts);
        const now = { at: counts.length * DAY_MS, units: 1_000, count: one };
        const prediction = new CountHistory('UTC', history).compare(now).class.predict(1_000);
        const [less, more] = [Math.min(one, other), Math.max(one, other)];
        expect(lnAtLeast(prediction, more)).toBeLessThanOrEqual(lnAtLeast(prediction, less) + 1e-9);
        const failsAsTooMany = ({ verdict, worth }: ReturnType<typeof judged>): boolean =>
          verdict === 'fail' && worth === undefined;
        if (failsAsTooMany(judged(history, less))) expect(judged(history, more).verdict).toBe('fail');
      }),
      { seed: 20261123, numRuns: 40 },
    );
  });

  test('is told its limits: they are the first and last that fail', () => {
    const prediction = predicted(STEADY.map(({ count }) => count));
    const most = unlikelyFrom(prediction, 2.5e-4);
    expect([judged(STEADY, most - 1).verdict, judged(STEADY, most).verdict]).toEqual(['pass', 'fail']);
    const fewest = unlikelyUpTo(prediction, 2.5e-4);
    expect([judged(STEADY, fewest + 1).verdict, judged(STEADY, fewest).verdict]).toEqual(['pass', 'fail']);
  });

  test('is judged alike whatever the order of its history, and again from its JSON', () => {
    const shuffled = STEADY.toSorted((a, b) => ((Number(a.at) * 7) % 31) - ((Number(b.at) * 7) % 31));
    expect(judged(shuffled, 61)).toEqual(judged(STEADY, 61));
    expect(judged(JSON.parse(JSON.stringify(STEADY)) as CountedRun[], 61)).toEqual(judged(STEADY, 61));
  });
});

test('the interval that is shown is the same, summed up or looked for among the tails', () => {
  const counts = fc.array(fc.nat(80), { minLength: 1, maxLength: 40 });
  const works = fc.option(fc.double({ min: 0.1, max: 0.99, noNaN: true }));
  fc.assert(
    fc.property(counts, works, (past, chance) => {
      const sums = noSums();
      for (const count of past) addCount(sums, count, 1);
      const prediction = predictAfter(sums, chance, undefined);
      expect(likelyBetween(prediction, 0.025)).toEqual({
        low: unlikelyUpTo(prediction, 0.025) + 1,
        high: unlikelyFrom(prediction, 0.025) - 1,
      });
    }),
    { seed: 20261126 },
  );
});
