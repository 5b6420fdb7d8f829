import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { judgeCount } from '../../../src/guard/count.js';
import {
  comparableCounts,
  type ComparableCounts,
  type CountedRun,
} from '../../../src/guard/count-history.js';
import { lnAtLeast, predictCount, unlikelyFrom, unlikelyUpTo } from '../../../src/guard/count-prediction.js';

const DAY_MS = 86_400_000;
const OPTIONS = { rule: 'claims-per-run', alpha: 2.5e-4, floor: 20 };

function daily(counts: readonly number[], units = 1_000): CountedRun[] {
  return counts.map((count, day) => ({ at: day * DAY_MS, count, units }));
}

function judged(history: readonly CountedRun[], count: number, units = 1_000): ReturnType<typeof judgeCount> {
  return judgeCount(history, { count, units, at: history.length * DAY_MS }, OPTIONS);
}

/** Counts of which each says as much as the next. */
function alike(counts: readonly number[]): ComparableCounts {
  return { counts: counts.map((count) => ({ count, weight: 1 })), levelRuns: counts.length, gathered: 1 };
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
      'claims-per-run: 4,812 planned where 40 (27–54) were expected from 27 runs; chance 5e-35, limit 2.5e-4',
    );
    expect(figures).toMatchObject({ observed: 4_812, low: 27, high: 54, samples: 27, limit: 2.5e-4 });
  });

  test('of units is judged by the same figures, in words of its own', () => {
    const runs = STEADY.map((run) => ({ ...run, count: 1 }));
    const said = (count: number, of: 'changes' | 'units', history: readonly CountedRun[] = runs) =>
      judgeCount(history, { count, units: 20, at: runs.length * DAY_MS }, { ...OPTIONS, rule: 'reach', of });
    expect(said(20, 'units').reason).toMatch(
      /^reach: planned for 20 units where 0\.02 \(0–1\) were expected from 27/,
    );
    expect(said(1, 'units').reason).toMatch(/^reach: planned for 1 unit where /);
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

  test('says beside how many newcomers there are, and what is planned for them', () => {
    const at = STEADY.length * DAY_MS;
    const apart = { units: 40, count: 312 };
    const beside = judgeCount(STEADY, { count: 41, units: 1_000, at, apart }, OPTIONS);
    expect(beside.reason).toBe(
      `${judged(STEADY, 41).reason}; 40 newcomers (312 planned) are not judged by counts`,
    );
    expect(beside.figures).toEqual({
      ...judged(STEADY, 41).figures,
      ...{ newcomers: 40, plannedForNewcomers: 312 },
    });
    const alone = { count: 0, units: 0, at, apart: { units: 1, count: 1 } };
    expect(judgeCount(STEADY, alone, { ...OPTIONS, of: 'units' })).toMatchObject({
      verdict: 'too-few',
      reason:
        'claims-per-run: history knows no unit of the run; 1 newcomer (planned for 1 unit) is not judged by counts',
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
    expect(after(few, 100)).toBeGreaterThan(0.01);
    expect(after(few, 1)).toBeLessThan(1e-6);
    expect(after(many, 100)).toBe(after(many, 1_000));
  });

  test('agrees with the formula, written out for a history of three and one k', () => {
    // k = 1, p ~ Beta(½ + 3, ½ + 6): P(Y ≥ y) = B(3.5, 6.5 + y)/B(3.5, 6.5).
    const prediction = predictCount(alike([1, 2, 3]));
    const one = prediction.components.find(({ given }) => given.k === 1);
    expect(one?.given).toEqual({ k: 1, a: 3.5, b: 6.5 });
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

  test('of a job that never planned anything is judged all the same', () => {
    const never = daily(Array.from({ length: 30 }, () => 0));
    expect(judged(never, 0).verdict).toBe('pass');
    expect(judged(never, 30).verdict).toBe('fail');
  });

  test('of a canary is expected to be its share of a full run', () => {
    expect(judged(STEADY, 40, 10)).toMatchObject({ verdict: 'fail', figures: { observed: 40 } });
    expect(judged(STEADY, 1, 10).figures['expected']).toBeCloseTo(0.4, 1);
  });

  test('depends on the units by their ratio only', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(500), { minLength: 3, maxLength: 40 }), fc.nat(5_000), (counts, count) => {
        const twofold = judged(daily(counts, 4_096), count, 2_048);
        expect(judged(daily(counts, 2), count, 1)).toEqual(twofold);
      }),
      { seed: 20261123, numRuns: 40 },
    );
  });

  test('is no likelier when it is greater, and one that fails never passes by growing', () => {
    const runs = fc.array(fc.nat(2_000), { minLength: 3, maxLength: 60 });
    fc.assert(
      fc.property(runs, fc.nat(1_000_000), fc.nat(1_000_000), (counts, one, other) => {
        const history = daily(counts);
        const prediction = predictCount(
          comparableCounts(history, { at: counts.length * DAY_MS, units: 1_000 }),
        );
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
    const prediction = predictCount(alike(STEADY.map(({ count }) => count)));
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

describe('the history of a count', () => {
  const weights = (counts: readonly number[]): number[] =>
    comparableCounts(daily(counts), { at: counts.length * DAY_MS, units: 1_000 }).counts.map(
      ({ weight }) => weight,
    );

  test('does not heed spikes, once there is enough to tell', () => {
    const counts = [...Array.from({ length: 19 }, (_, run) => 36 + (run % 9)), 400];
    expect(weights(counts).at(-1)).toBe(0);
    expect(
      weights(counts)
        .slice(0, -1)
        .every((weight) => weight === 1),
    ).toBe(true);
    expect(weights([...counts.slice(0, 10), 400])).toEqual(Array.from({ length: 11 }, () => 1));
  });

  test('has room for a Poisson count, though all runs were the same', () => {
    expect(weights([...Array.from({ length: 20 }, () => 50), 60]).at(-1)).toBe(1);
  });

  test('is the last four weeks, or a hundred runs where these hold fewer', () => {
    const hourly = Array.from({ length: 24 * 40 }, (_, hour) => ({
      at: hour * 3_600_000,
      count: 5,
      units: 1,
    }));
    const now = { at: 24 * 40 * 3_600_000, units: 1 };
    expect(comparableCounts(hourly, now).counts).toHaveLength(24 * 28);
    const slow = Array.from({ length: 130 }, (_, day) => ({ at: day * DAY_MS, count: 5, units: 1 }));
    expect(comparableCounts(slow, { at: 130 * DAY_MS, units: 1 }).counts).toHaveLength(100);
  });

  test('has nothing of the run itself, nor of what came after', () => {
    expect(comparableCounts(STEADY, { at: 5 * DAY_MS, units: 1_000 }).counts).toHaveLength(5);
  });

  // 1970-01-01, day 0, was a Thursday: days 2 and 3 of each week are its weekend.
  const isWeekend = (day: number): boolean => day % 7 === 2 || day % 7 === 3;
  const weekly = Array.from({ length: 58 }, (_, day) => (isWeekend(day) ? 20 : 200) + ((day * 5) % 11));

  test('expects of a weekday what that weekday is like, where weekdays differ', () => {
    const onDay = (day: number, count: number): string =>
      judgeCount(daily(weekly), { count, units: 1_000, at: day * DAY_MS }, OPTIONS).verdict;
    expect(onDay(58, 200)).toBe('fail');
    expect(onDay(56, 200)).toBe('pass');
    expect(onDay(58, 25)).toBe('pass');
    expect(onDay(56, 25)).toBe('fail');
    const { verdict } = judgeCount(
      daily(weekly),
      { count: 200, units: 1_000, at: 58 * DAY_MS },
      { ...OPTIONS, weekdays: false },
    );
    expect(verdict).toBe('pass');
  });

  test('does not learn a weekday from one spike', () => {
    const spiked = weekly.map((count, day) => (day === 51 ? 2_000 : count));
    const expected = (counts: readonly number[]): unknown =>
      judgeCount(daily(counts), { count: 25, units: 1_000, at: 58 * DAY_MS }, OPTIONS).figures['expected'];
    expect(Number(expected(spiked)) / Number(expected(weekly))).toBeLessThan(1.3);
  });

  test('knows no weekdays where they do not differ, nor for a job of one weekday', () => {
    const even = Array.from({ length: 56 }, (_, day) => 40 + ((day * 5) % 11));
    const now = { at: 56 * DAY_MS, units: 1_000 };
    expect(comparableCounts(daily(even), now).counts.map(({ count }) => count)).toEqual(even);
    const mondays = even.map((count, week) => ({ at: (week * 7 + 4) * DAY_MS, count, units: 1_000 }));
    const later = { at: (56 * 7 + 4) * DAY_MS, units: 1_000 };
    expect(comparableCounts(mondays, later).counts.map(({ count }) => count)).toEqual(even);
  });

  describe('after a pause', () => {
    const expected = (history: readonly CountedRun[], at: number): unknown =>
      judgeCount(history, { count: 40, units: 1_000, at }, OPTIONS).figures['expected'];

    test('expects what the runs that failed to come would have found, and says so', () => {
      const [usual, after] = [27, 31].map((day) => Number(expected(STEADY, day * DAY_MS)));
      expect(after).toBeCloseTo(5 * (usual ?? NaN), 6);
      const now = { count: 190, units: 1_000, at: 31 * DAY_MS };
      expect(judged(STEADY, 190).verdict).toBe('fail');
      expect(judgeCount(STEADY, now, OPTIONS)).toMatchObject({
        verdict: 'pass',
        figures: { gathered: 5 },
        reason: expect.stringContaining('from 27 runs, with the work of 5 gathered; chance ') as unknown,
      });
      expect(judgeCount(STEADY, { ...now, count: 4_812 }, OPTIONS).verdict).toBe('fail');
    });

    test('holds far too few as ever: what was held for that makes the next run no better', () => {
      for (const day of [27, 28, 31]) {
        const held = judgeCount(STEADY, { count: 2, units: 1_000, at: day * DAY_MS }, OPTIONS);
        expect(held).toMatchObject({ verdict: 'fail', worth: 'hold' });
        const enough = judgeCount(STEADY, { count: 40, units: 1_000, at: day * DAY_MS }, OPTIONS);
        expect(enough.verdict).toBe('pass');
      }
    });

    test('learns of a run that came after one what each of them would have found', () => {
      const late = STEADY.map((run, at) =>
        at < 20 ? run : { ...run, at: Number(run.at) + 9 * DAY_MS, ...(at === 20 && { count: 400 }) },
      );
      const { counts, gathered } = comparableCounts(late, { at: 36 * DAY_MS, units: 1_000 });
      expect(gathered).toBe(1);
      expect(counts[20]).toEqual({ count: 40, weight: 1 });
    });

    test('knows none where a job keeps to working days, nor where two versions share a slot', () => {
      // 1970-01-05 was a Monday.
      const working = Array.from({ length: 40 }, (_, run) => Math.floor(run / 5) * 7 + 4 + (run % 5));
      const onDays = working.map((day) => ({ at: day * DAY_MS, count: 40, units: 1_000 }));
      expect(comparableCounts(onDays, { at: (8 * 7 + 4) * DAY_MS, units: 1_000 })).toMatchObject({
        gathered: 1,
        counts: onDays.map(() => ({ count: 40 })),
      });
      const both = STEADY.flatMap((run) => [run, { ...run, at: Number(run.at) + 5 }]);
      for (const [at, gathered] of [
        [27 * DAY_MS, 1],
        [27 * DAY_MS + 5, 1],
        [30 * DAY_MS, 4],
      ] as const) {
        const after = at % DAY_MS === 0 ? both : [...both, { at: 27 * DAY_MS, count: 40, units: 1_000 }];
        expect(comparableCounts(after, { at, units: 1_000 }).gathered).toBe(gathered);
      }
      const paused = [...both, { at: 30 * DAY_MS, count: 160, units: 1_000 }];
      expect(comparableCounts(paused, { at: 30 * DAY_MS + 5, units: 1_000 }).gathered).toBe(4);
    });

    test('takes uneven starts for what they are, whatever the jitter of a third', () => {
      const jitter = fc.array(fc.integer({ min: -15, max: 15 }), { minLength: 12, maxLength: 40 });
      fc.assert(
        fc.property(jitter, (shifts) => {
          const history = shifts.map((shift, run) => ({
            at: (run * 100 + shift) * 1_000,
            count: 9,
            units: 7,
          }));
          const { counts, gathered } = comparableCounts(history, { at: shifts.length * 100_000, units: 7 });
          expect(gathered).toBe(1);
          expect(counts.every(({ count }) => count === 9)).toBe(true);
        }),
        { seed: 20261123, numRuns: 60 },
      );
    });
  });

  test('are sure of a weekday’s level by no more than the runs of that weekday', () => {
    const now = { at: 56 * DAY_MS, units: 1_000 };
    const comparable = comparableCounts(daily(weekly), now);
    // A history of 56 days teaches by all of them: eight of each weekday, and one of the mean.
    expect(comparable.counts).toHaveLength(56);
    expect(comparable.levelRuns).toBeCloseTo(9, 6);
    const sure = predictCount({ ...comparable, levelRuns: 56 });
    const unsure = predictCount(comparable);
    expect(unsure.mean).toBe(sure.mean);
    expect(lnAtLeast(unsure, 300)).toBeGreaterThan(lnAtLeast(sure, 300));
    // Weekdays not heeded, weekends are outliers, and the 40 working days are what there is.
    expect(comparableCounts(daily(weekly), now, { weekdays: false }).levelRuns).toBe(40);
  });
});
