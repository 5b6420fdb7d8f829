/** Jobs whose level changes, and jobs that pause: the bounds of the count rule, and what a decision costs. */
import { backtestCount } from '#dist/guard/backtest.js';
import { judgeCount } from '#dist/guard/count.js';
import type { CountedRun } from '#dist/guard/count-history.js';
import { seededRandom } from '#dist/demo/random.js';
import { median } from './bench.js';
import { figureOf, type GuardFigure } from './guard-figures.js';
import { NAIVE_RULES } from './guard-naive.js';
import { each, falseAlarms, Judges, meanOfDay, series, tableOf, Tally, walk } from './guard-walk.js';
import { ALPHA, DAY_MS, HOUR_MS, OURS, QUARTER_MS, START, UNITS, type Setting } from './guard-walk.js';

export function levels(options: Setting): GuardFigure[] {
  const isEnd = (at: number): boolean => new Date(at + DAY_MS).getUTCDate() === 1;
  const ends = new Tally();
  each(options, 'month-end', (random) => {
    const judges = new Judges();
    let seen = 0;
    for (const run of series(365, DAY_MS, random, (at) => tableOf(isEnd(at) ? 600 : 100, 10).draw(random))) {
      const { tripped } = judges.judge(run);
      if (!isEnd(Number(run.at))) continue;
      seen += 1;
      if (seen <= 4) continue;
      ends.of += 1;
      for (const rule of tripped) ends.add(rule);
    }
  });
  const month = figureOf({
    rule: 'count',
    setting: 'month-end × 6, daily',
    what: 'of the later ones trip, after three accepted',
    ...ends.over(),
    reach: { most: 0.1 },
    repetitions: ends.of,
  });
  return [month, ...[2, 3].map((times) => shifts(options, times))];
}

function shifts(options: Setting, times: number): GuardFigure {
  const tally = new Tally();
  each(options, `shift ${times}`, (random) => {
    const judges = new Judges();
    const alarms = new Map<string, number>();
    const runs = series(240, DAY_MS, random, (_, __, index) =>
      tableOf(index < 100 ? 100 : 100 * times, 10).draw(random),
    );
    // Each rule's sixty runs begin after two alarms of its own.
    const after = new Map<string, number>();
    runs.forEach((run, index) => {
      const { decision, tripped } = judges.judge(run);
      if (index < 100) return;
      if (decision.worth === 'hold') tripped.push(OURS);
      for (const rule of [OURS, ...Object.keys(NAIVE_RULES)]) {
        const alarm = tripped.includes(rule);
        if ((alarms.get(rule) ?? 0) < 2) alarms.set(rule, (alarms.get(rule) ?? 0) + (alarm ? 1 : 0));
        else if ((after.get(rule) ?? 0) < 60) {
          after.set(rule, (after.get(rule) ?? 0) + 1);
          if (alarm) tally.add(rule);
        }
      }
    });
    tally.of += 1;
  });
  return figureOf({
    rule: 'count',
    setting: `honest shift × ${times}, daily`,
    what: 'alarms in 60 runs after two accepted',
    ...tally.over(),
    reach: { most: 0.2 },
    repetitions: tally.of,
  });
}

export function outages(options: Setting): GuardFigure[] {
  const work = tableOf(30, 10);
  const tally = new Tally();
  each(options, 'outages', (random) => {
    const runs: CountedRun[] = [];
    let [waiting, missed] = [0, 0];
    for (let hour = 0; hour < 24 * 42; hour += 1) {
      waiting += work.draw(random);
      if (missed === 0 && hour > 24 * 14 && random.chance(1 / 60)) missed = random.between(1, 24);
      if (missed > 0) {
        missed -= 1;
        continue;
      }
      runs.push({ at: START + hour * HOUR_MS, units: UNITS, count: waiting });
      waiting = 0;
    }
    walk(runs, tally, 24 * 14);
  });
  const setting = 'outages of 1–24 runs, then the backlog, hourly';
  return falseAlarms(setting, tally, options.repetitions, 1.5);
}

export function drifts(options: Setting): GuardFigure[] {
  const reaches = [
    { k: 2, alpha: ALPHA, most: 40 },
    { k: 10, alpha: ALPHA, most: 25 },
    { k: 100, alpha: ALPHA, most: 14 },
    { k: 2, alpha: 2.5e-4, most: 48 },
    { k: 10, alpha: 2.5e-4, most: 30 },
    { k: 100, alpha: 2.5e-4, most: 17 },
  ];
  return reaches.map(({ k, alpha, most }) => {
    const [from, length] = [100, 170];
    const delays = each(options, `drift ${k}`, (random) => {
      const judges = new Judges(alpha);
      const first = new Map<string, number>();
      const runs = series(length, DAY_MS, random, (_, __, index) =>
        tableOf(1_000 * 1.02 ** Math.max(0, index - from), k).draw(random),
      );
      for (const [index, run] of runs.entries()) {
        for (const rule of judges.judge(run).tripped)
          if (index >= from && !first.has(rule)) first.set(rule, index - from);
      }
      return first;
    });
    const middle = (rule: string): number => median(delays.map((first) => first.get(rule) ?? length - from));
    return figureOf({
      rule: 'count',
      setting: `drift of 2 % a run, μ 1000, k ${k}, α ${alpha}`,
      what: 'median delay in runs',
      measured: middle(OURS),
      naive: Object.fromEntries(Object.keys(NAIVE_RULES).map((rule) => [rule, middle(rule)])),
      reach: { most },
      repetitions: delays.length,
    });
  });
}

/** The processor's time that something takes, in milliseconds: others may be at work here. */
function cpuMs(act: () => unknown): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** What a decision costs, and a year of quarters of an hour. */
export function cost({ seed }: Setting): GuardFigure[] {
  const random = seededRandom(`${seed} cost`);
  const length = 96 * 365;
  const options = { rule: 'cost', alpha: 2.5e-4, floor: 1 };
  const runs = series(length, QUARTER_MS, random, (at) => tableOf(meanOfDay(at), 10).draw(random));
  const judges = new Judges(options.alpha);
  const eachMs = cpuMs(() => {
    for (const run of runs) {
      const { verdict, state } = judges.decide(run);
      judges.history.add({ ...run, accepted: verdict === 'fail', state });
    }
  });
  const last = runs.slice(-96 * 28);
  const [now] = last.splice(-1);
  const colds = Array.from({ length: 20 }, () => cpuMs(() => now && judgeCount(last, now, options)));
  const common = { rule: 'count', setting: 'a year of quarter-hours', repetitions: length } as const;
  const figure = (what: string, measured: number, most: number | null): GuardFigure =>
    figureOf({ ...common, what, measured, reach: most === null ? null : { most } });
  return [
    figure('ms of the processor a decision, run by run', eachMs / length, 1),
    figure('… from four weeks of runs, as after a restart', median(colds), null),
    figure('s of the processor a backtest', cpuMs(() => backtestCount(runs, options)) / 1_000, 5),
  ];
}
