import { describe, expect, test } from '@jest/globals';
import { backtestCount, backtestCountInTurns, expectedBands } from '../../../src/guard/backtest.js';
import { plotBacktest } from '../../../src/guard/backtest-plot.js';
import { judgeCount } from '../../../src/guard/count.js';
import type { CountedRun } from '../../../src/guard/count-history.js';

const DAY_MS = 86_400_000;
const OPTIONS = { rule: 'claims-per-run', alpha: 2.5e-4, floor: 10 };

/** Forty healthy days; on the 30th, 4,812 claims, and on the 35th none. */
const RUNS: CountedRun[] = Array.from({ length: 40 }, (_, day) => ({
  at: day * DAY_MS,
  count: day === 30 ? 4_812 : day === 35 ? 0 : 34 + ((day * 7) % 13),
  units: 1_000,
}));

describe('a backtest', () => {
  const backtest = backtestCount(RUNS, OPTIONS);

  test('finds the runs that were stopped, and no other', () => {
    const stopped = backtest.runs.filter(({ verdict }) => verdict === 'fail');
    expect(stopped.map(({ at, worth }) => [at, worth])).toEqual([
      ['1970-01-31T00:00:00.000Z', undefined],
      ['1970-02-05T00:00:00.000Z', 'hold'],
    ]);
    expect(backtest).toMatchObject({ trips: 1, holds: 1 });
    expect(backtest.runs.slice(0, 3).every(({ verdict }) => verdict === 'too-few')).toBe(true);
    expect(backtest.runs[0]).toMatchObject({ expected: null, low: null, high: null, p: null });
  });

  test('judges each run by those before it alone, and learns nothing from what it stopped', () => {
    const day = 38;
    const before = RUNS.filter((_, at) => at < day && at !== 30 && at !== 35);
    const run = RUNS[day];
    const { figures } = judgeCount(before, { count: 0, units: 0, at: 0, ...run }, OPTIONS);
    const { expected, low, high, p } = backtest.runs[day] ?? {};
    expect({ expected, low, high, p }).toEqual({
      expected: figures['expected'],
      low: figures['low'],
      high: figures['high'],
      p: figures['p'],
    });
  });

  test('says what a tenth of alpha and ten times alpha would have done', () => {
    expect(backtest.alternatives.map(({ alpha }) => alpha)).toEqual([2.5e-5, 2.5e-3]);
    const [fewer, more] = backtest.alternatives;
    expect(fewer?.trips).toBeLessThanOrEqual(backtest.trips);
    expect(more?.trips).toBeGreaterThanOrEqual(backtest.trips);
  });

  test('says how many false alarms a year may be expected, at the pace of the runs', () => {
    expect(backtest.budget.runsAYear).toBe(365);
    expect(backtest.budget.falseTripsAYear).toBeCloseTo(1.1 * 365 * 2.5e-4, 12);
    const { budget } = backtestCount(RUNS.slice(0, 1), OPTIONS);
    expect(budget).toEqual({ runsAYear: null, falseTripsAYear: null });
  });

  test('does not depend on the order of the runs', () => {
    expect(backtestCount(RUNS.toReversed(), OPTIONS)).toEqual(backtest);
  });
});

describe('the plot of a backtest', () => {
  const plot = plotBacktest(backtestCount(RUNS, OPTIONS));

  test('has each run, the trip and the hold, with the reason to read', () => {
    expect(plot.match(/<circle class="run" [^>]*><title>/g)).toHaveLength(38);
    expect(plot.match(/<circle class="trip" [^>]*><title>claims-per-run: 4,812 planned/g)).toHaveLength(1);
    expect(plot.match(/<circle class="hold" [^>]*><title>claims-per-run: 0 planned/g)).toHaveLength(1);
  });

  test('names its axes, and turns to logarithms where a spike would press the rest flat', () => {
    expect(plot).toContain('>time of the run, UTC<');
    expect(plot).toContain('>planned changes, logarithmic<');
    const calm = plotBacktest(backtestCount(RUNS.slice(0, 30), OPTIONS));
    expect(calm).toContain('>planned changes<');
  });

  test('says that it counts units, where it does', () => {
    const backtest = backtestCount(RUNS, { ...OPTIONS, of: 'units' });
    expect(backtest.of).toBe('units');
    expect(plotBacktest(backtest)).toContain('>units with planned changes, logarithmic<');
  });

  test('needs nothing from elsewhere and has only numbers for places', () => {
    expect(plot).not.toMatch(/href|url\(|@import|<script/);
    expect(plot).not.toMatch(/NaN|Infinity|undefined/);
  });

  test('can be drawn of nothing, of one run, and of a rule with letters that XML minds', () => {
    for (const runs of [[], RUNS.slice(0, 1), RUNS.slice(0, 4)]) {
      expect(plotBacktest(backtestCount(runs, { ...OPTIONS, rule: 'a<b&"c"' }))).not.toMatch(
        /NaN|Infinity|a<b/,
      );
    }
  });

  test('has the band by hour of the day where a job runs at several, and no such panel where it does not', () => {
    const hourly = Array.from({ length: 24 * 10 }, (_, hour) => ({
      at: hour * 3_600_000,
      count: (hour % 24 >= 9 && hour % 24 < 17 ? 100 : 2) + ((hour * 7) % 5),
      units: 50,
    }));
    const { bands, warnings } = backtestCount(hourly, OPTIONS);
    expect(bands.flatMap(({ quarters }) => quarters.length)).toContain(24);
    const [band] = bands;
    const at = (hour: number): number =>
      band?.quarters.find(({ quarter }) => quarter === hour * 4)?.expected ?? 0;
    expect([at(12) > 90, at(3) < 10]).toEqual([true, true]);
    expect(plotBacktest(backtestCount(hourly, OPTIONS))).toContain('expected by hour of the day');
    expect(warnings).toEqual([]);
    expect(plot).not.toContain('expected by hour of the day');
  });
});

test('in turns it says the same, and lets the process do other things meanwhile', async () => {
  const hourly = Array.from({ length: 24 * 40 }, (_, hour) => ({
    at: hour * 3_600_000,
    count: (hour % 24 >= 9 && hour % 24 < 17 ? 100 : 2) + ((hour * 7) % 5),
    units: 50,
  }));
  let turns = 0;
  let over = false;
  const other = (): void => {
    turns += 1;
    if (!over) setImmediate(other);
  };
  setImmediate(other);
  const answer = await backtestCountInTurns(hourly, OPTIONS);
  over = true;
  expect(answer).toEqual(backtestCount(hourly, OPTIONS));
  expect(turns).toBeGreaterThan(5);
});

test('what the next week is expected to plan is told without walking over the past, and is the same where all of it was healthy', async () => {
  const healthy = RUNS.filter(({ count }) => count > 0 && count < 100);
  const bands = await expectedBands(healthy.toReversed(), OPTIONS);
  expect(bands).toHaveLength(1);
  expect(bands).toEqual(backtestCount(healthy, OPTIONS).bands);
  expect(await expectedBands([], OPTIONS)).toEqual([]);
});

describe('the warnings of a backtest', () => {
  test('say where the floor is above all counts, and where more trips than alpha makes', () => {
    expect(backtestCount(RUNS, { ...OPTIONS, floor: 9_000 }).warnings).toEqual([
      'No run reaches the floor of 9,000 changes; the largest has 4,812.',
    ]);
    const spiked = RUNS.map((run, day) => (day % 9 === 8 ? { ...run, count: 900 } : run));
    expect(backtestCount(spiked, OPTIONS).warnings[0]).toMatch(
      /^The measured rate is not alpha: \d+ trips in 37 runs, /,
    );
  });

  test('say that a frequent job is not judged on its first day, and no longer when it has a second', () => {
    const everyFifth = (length: number): CountedRun[] =>
      Array.from({ length }, (_, at) => ({ at: at * 900_000, units: 50, count: at % 5 === 2 ? 60 : 0 }));
    expect(backtestCount(everyFifth(40), OPTIONS)).toMatchObject({
      measured: { judged: 0 },
      warnings: [
        'The rule judges 0 of 40 runs: of the first day of a job that runs more often than daily only a count a hundred times as large fails. Caps carry those.',
      ],
    });
    const days = backtestCount(everyFifth(10 * 96), OPTIONS);
    expect(days).toMatchObject({ measured: { judged: 9 * 96 }, trips: 0, holds: 0, warnings: [] });
  });
});
