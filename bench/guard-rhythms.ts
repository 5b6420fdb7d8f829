/** Jobs whose counts follow a clock or a calendar: the bounds of the count rule, run by run. */
import {
  falseAlarms,
  found,
  isWeekend,
  meanOfDay,
  series,
  tableOf,
  Tally,
  walk,
  each,
} from './guard-walk.js';
import { ALPHA, DAY_MS, HOUR_MS, OURS, QUARTER_MS, START, UNITS, type Setting } from './guard-walk.js';
import type { GuardFigure } from './guard-figures.js';

export function oftenIdle(options: Setting): GuardFigure[] {
  const work = tableOf(80, 5);
  const tenfold = tableOf(800, 5);
  const at = START + 800 * HOUR_MS;
  const finds = new Tally();
  const walked = (idle: number, name: string, accepts = true): Tally => {
    const tally = new Tally();
    each(options, name, (random) => {
      const runs = series(800, HOUR_MS, random, () => (random.chance(idle) ? 0 : work.draw(random)));
      const judges = walk(runs, tally, 100, accepts);
      if (idle > 0.9) return;
      finds.of += 1;
      for (const rule of judges.tripping(at, tenfold.draw(random))) finds.add(rule);
    });
    return tally;
  };
  const often = '80 % zeros, work NB(80, 5), hourly';
  const { repetitions } = options;
  return [
    ...falseAlarms(often, walked(0.8, '80 % zeros'), repetitions, 1.5),
    found(often, 'tenfold work found', finds, 0.9),
    ...falseAlarms('95 % zeros, every alarm accepted', walked(0.95, '95 % zeros'), repetitions, 1.5),
    ...falseAlarms('95 % zeros, none accepted', walked(0.95, '95 % zeros', false), repetitions, 2.5),
  ];
}

export function officeHours(options: Setting): GuardFigure[] {
  const work = tableOf(120, 10);
  return [0, 11].flatMap((offset) => {
    const tally = new Tally();
    each(options, `office ${offset}`, (random) =>
      walk(
        series(24 * 56, HOUR_MS, random, (at) => {
          const local = at + offset * HOUR_MS;
          const hour = (local % DAY_MS) / HOUR_MS;
          return !isWeekend(local) && hour >= 9 && hour < 17 ? work.draw(random) : 0;
        }),
        tally,
        24 * 14,
      ),
    );
    const setting = `office hours NB(120, 10), hourly, ${offset} h from UTC`;
    return falseAlarms(setting, tally, options.repetitions, 1.5, 1.5);
  });
}

export function weekdays(options: Setting): GuardFigure[] {
  const work = tableOf(200, 20);
  const [idle, seven] = [new Tally(), new Tally()];
  each(options, 'weekends', (random) => {
    const runs = series(300, DAY_MS, random, (at) => (isWeekend(at) ? 0 : work.draw(random)));
    walk(runs, idle, 28);
  });
  const means = [20, 200, 150, 120, 90, 60, 40];
  each(options, 'seven weekdays', (random) => {
    const meanAt = (at: number): number => means[new Date(at).getUTCDay()] ?? 1;
    const runs = series(300, DAY_MS, random, (at) => tableOf(meanAt(at), 10).draw(random));
    walk(runs, seven, 60);
  });
  return [
    ...falseAlarms('idle weekends, NB(200, 20) daily', idle, options.repetitions, 1.5, 1.5),
    ...falseAlarms('seven different weekdays, daily', seven, options.repetitions, 2),
  ];
}

export function quarterHours(options: Setting): GuardFigure[] {
  const setting = 'quarter-hours, day × week (peak 60, night 0.4, k 10)';
  const tally = new Tally();
  const finds = {
    burst: new Tally(),
    tenfold: new Tally(),
    edge: new Tally(),
    exact: new Tally(),
    drawn: new Tally(),
    held: new Tally(),
  };
  each(options, setting, (random) => {
    const draw = (at: number): number => tableOf(meanOfDay(at), 10).draw(random);
    const judges = walk(series(96 * 28, QUARTER_MS, random, draw), tally, 96 * 14);
    for (let quarter = 0; quarter < 96; quarter += 1) {
      const at = START + 28 * DAY_MS + quarter * QUARTER_MS;
      const mean = meanOfDay(at);
      const attempt = (what: keyof typeof finds, count: number, of = 1): void => {
        finds[what].of += of;
        for (const rule of judges.tripping(at, count)) finds[what].add(rule);
      };
      // The edges of the day are where a quarter of an hour changes the mean by more than a tenth.
      const isEdge = Math.abs(meanOfDay(at + QUARTER_MS) - mean) > 0.1 * mean;
      if (quarter === 12) attempt('burst', 40);
      if (mean >= 10 && quarter % 4 === 0)
        attempt(isEdge ? 'edge' : 'tenfold', tableOf(10 * mean, 10).draw(random));
      if (quarter === 52) {
        attempt('exact', Math.round(3 * mean));
        const threefold = tableOf(3 * mean, 10);
        const oracle = threefold.atLeast(tableOf(mean, 10).unlikelyFrom(ALPHA));
        for (let time = 0; time < 10; time += 1) attempt('drawn', threefold.draw(random), oracle);
        finds.held.of += 1;
        if (judges.decide({ at, count: 0, units: UNITS }).worth === 'hold') finds.held.add(OURS);
      }
      judges.judge({ at, units: UNITS, count: draw(at) });
    }
  });
  return [
    ...falseAlarms(setting, tally, options.repetitions, 1.5),
    found(setting, '40 at 03:00 found', finds.burst, 0.99),
    found(setting, 'tenfold found, mean 10 or more', finds.tenfold, 0.99),
    found(setting, '… on the steep edge', finds.edge, 0.9),
    found(setting, 'exactly 3 × at noon found', finds.exact, 0.99),
    found(setting, '3 × at noon, drawn, ÷ an oracle’s', finds.drawn, 0.85),
    found(setting, 'none at noon held', finds.held, 0.99),
  ];
}
