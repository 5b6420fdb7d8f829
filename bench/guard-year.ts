/** A year of healthy runs in six regions, for five kinds of job: what the shipped alpha promises beside what it does. */
import { backtestCount } from '#dist/guard/backtest.js';
import { seededRandom, type Random } from '#dist/demo/random.js';
import { NAIVE_RULES } from './guard-naive.js';
import { figureOf, type GuardFigure } from './guard-figures.js';
import { DAY_MS, HOUR_MS, isWeekend, meanOfDay, series, tableOf, Tally, OURS } from './guard-walk.js';

/** As shipped for claims and verifications, but for the floor: none, so that nothing is excused. */
const OPTIONS = { rule: 'year', alpha: 2.5e-4, floor: 1 };
const RUNS = 24 * 365;
/** How large a region is against the first. */
const REGIONS = [1, 0.5, 2, 0.3, 0.2, 1.5];

type Count = (at: number, size: number, random: Random) => number;

const JOBS: Readonly<Record<string, Count>> = {
  steady: (_, size, random) => tableOf(50 * size, 10).draw(random),
  diurnal: (at, size, random) => tableOf(size * meanOfDay(at), 10).draw(random),
  'office hours': (at, size, random) => {
    const hour = (at % DAY_MS) / HOUR_MS;
    return !isWeekend(at) && hour >= 9 && hour < 17 ? tableOf(120 * size, 10).draw(random) : 0;
  },
  'idle weekends': (at, size, random) => (isWeekend(at) ? 0 : tableOf(40 * size, 10).draw(random)),
  'rare bursts': (_, size, random) => (random.chance(0.03) ? tableOf(80 * size, 5).draw(random) : 0),
};

/** More than so many stops in a row, accepted by nobody, are a standing one. */
const MOST_IN_A_ROW = 2;

/** Nobody accepts anything: what was stopped is no part of the baseline, and must not be stopped for ever. */
export function healthyYear(seed: string, progress: (text: string) => void): GuardFigure[] {
  return Object.entries(JOBS).flatMap(([job, count]) => {
    progress(`count, a healthy year, ${job}`);
    let [trips, holds, budget, longest] = [0, 0, 0, 0];
    const naive = new Tally();
    for (const [region, size] of REGIONS.entries()) {
      const random = seededRandom(`${seed} year ${job} ${region}`);
      const runs = series(RUNS, HOUR_MS, random, (at) => count(at, size, random));
      const backtest = backtestCount(runs, OPTIONS);
      trips += backtest.trips;
      holds += backtest.holds;
      budget += backtest.budget.falseTripsAYear ?? 0;
      let row = 0;
      for (const { verdict } of backtest.runs) {
        row = verdict === 'fail' ? row + 1 : 0;
        longest = Math.max(longest, row);
      }
      for (const [name, make] of Object.entries(NAIVE_RULES)) {
        const rule = make();
        for (const { at, count: planned } of runs) {
          if (planned > rule.limit(Number(at))) naive.add(name);
          rule.learn(Number(at), planned);
        }
      }
    }
    const common = { rule: 'count', setting: `a year of six regions, hourly: ${job}` } as const;
    const repetitions = REGIONS.length * RUNS;
    // A budget is a mean: what chance adds to it, once in forty years.
    const most = Number((1 + 2 / Math.sqrt(budget)).toFixed(2));
    const figure = (what: string, measured: number, bound: number): GuardFigure =>
      figureOf({ ...common, what, measured, reach: { most: bound }, repetitions });
    naive.add(OURS, trips);
    const what = `trips ÷ the budget of ${budget.toFixed(1)}`;
    return [
      figureOf({ ...common, what, ...naive.over(budget), reach: { most }, repetitions }),
      figure('holds ÷ as large a budget', holds / budget, most),
      figure('most stops in a row', longest, MOST_IN_A_ROW),
    ];
  });
}
