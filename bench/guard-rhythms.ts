import { decide, type CountDecision, type CountOptions } from '#dist/guard/count.js';
import { CountHistory, type CountedRun } from '#dist/guard/count-history.js';
import { seededRandom, type Random } from '#dist/replay/random.js';
import { median } from './bench.js';
import { negativeBinomial, type CountTable } from './guard-draws.js';
import { figureOf, type GuardFigure } from './guard-figures.js';
import { NAIVE_RULES } from './guard-naive.js';

/** Jobs whose counts follow a clock, a calendar or a backlog: GUARD.md's lines for the count rule, run by run. */

const QUARTER_MS = 900_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** A Monday. */
const START = Date.UTC(2026, 0, 5);
const ALPHA = 1e-3;
const OPTIONS: CountOptions = { rule: 'rhythm', alpha: ALPHA, floor: 1 };
const UNITS = 50;

const tables = new Map<string, CountTable>();

function tableOf(mean: number, k: number): CountTable {
  const key = `${mean.toPrecision(4)} ${k}`;
  const table = tables.get(key) ?? negativeBinomial(Number(mean.toPrecision(4)), k);
  tables.set(key, table);
  return table;
}

type Draw = (at: number, random: Random, index: number) => number;

function series(length: number, step: number, random: Random, draw: Draw): CountedRun[] {
  return Array.from({ length }, (_, index) => {
    const at = START + index * step;
    return { at, units: UNITS, count: draw(at, random, index) };
  });
}

interface Walk {
  /** Runs that are judged, from the first that counts. */
  readonly runs: number;
  readonly trips: number;
  readonly holds: number;
  readonly naive: Readonly<Record<string, number>>;
  readonly history: CountHistory;
}

interface WalkOptions {
  readonly from: number;
  readonly accepts?: boolean;
  readonly alpha?: number;
  readonly onRun?: (index: number, decision: CountDecision) => void;
}

/** Judges each run after those before it; a person accepts what fails, unless told otherwise. */
function walk(
  runs: readonly CountedRun[],
  { from, accepts = true, alpha = ALPHA, onRun }: WalkOptions,
): Walk {
  const history = new CountHistory();
  const naive = Object.entries(NAIVE_RULES).map(([name, make]) => ({ name, judge: make(), trips: 0 }));
  let [trips, holds] = [0, 0];
  runs.forEach((run, index) => {
    const decision = decide(history, run, { ...OPTIONS, alpha });
    const fails = decision.verdict === 'fail';
    if (index >= from && fails) {
      if (decision.worth === 'hold') holds += 1;
      else trips += 1;
    }
    for (const each of naive) if (each.judge(Number(run.at), run.count) && index >= from) each.trips += 1;
    if (!fails || accepts) history.add({ ...run, accepted: fails, state: decision.state });
    onRun?.(index, decision);
  });
  const shares = naive.map((each): [string, number] => [each.name, each.trips]);
  return { runs: runs.length - from, trips, holds, naive: Object.fromEntries(shares), history };
}

function isTrip(history: CountHistory, at: number, count: number): boolean {
  const { verdict, worth } = decide(history, { at, count, units: UNITS }, OPTIONS);
  return verdict === 'fail' && worth === undefined;
}

interface Setting {
  readonly seed: string;
  readonly repetitions: number;
}

/** False alarms over alpha of many walks, beside those of the naive rules. */
function falseAlarms(
  setting: string,
  walks: readonly Walk[],
  most: number | null,
  mostHolds?: number,
): GuardFigure[] {
  const runs = walks.reduce((sum, each) => sum + each.runs, 0);
  const rate = (count: (each: Walk) => number): number =>
    walks.reduce((sum, each) => sum + count(each), 0) / runs / ALPHA;
  const naive = Object.fromEntries(
    Object.keys(NAIVE_RULES).map((name) => [name, rate((each) => each.naive[name] ?? 0)]),
  );
  const common = { rule: 'count', setting, repetitions: walks.length } as const;
  const trips = figureOf({
    ...common,
    what: `trips ÷ α ${ALPHA}, ${runs} runs`,
    measured: rate((each) => each.trips),
    reach: most === null ? null : { most },
    naive,
  });
  if (mostHolds === undefined) return [trips];
  const what = `holds ÷ α ${ALPHA}, ${runs} runs`;
  return [
    trips,
    figureOf({ ...common, what, measured: rate((each) => each.holds), reach: { most: mostHolds } }),
  ];
}

function share(setting: string, what: string, found: number, of: number, least: number): GuardFigure {
  return figureOf({ rule: 'count', setting, what, measured: found / of, reach: { least }, repetitions: of });
}

function each<T>({ seed, repetitions }: Setting, name: string, run: (random: Random) => T): T[] {
  return Array.from({ length: repetitions }, (_, at) => run(seededRandom(`${seed} ${name} ${at}`)));
}

const isWeekend = (at: number): boolean => [0, 6].includes(new Date(at).getUTCDay());

function oftenIdle(options: Setting): GuardFigure[] {
  const work = tableOf(80, 5);
  const idle = (share_: number) => (random: Random) =>
    series(800, HOUR_MS, random, () => (random.chance(share_) ? 0 : work.draw(random)));
  const at = START + 800 * HOUR_MS;
  let found = 0;
  const tenfold = tableOf(800, 5);
  const often = each(options, '80 % zeros', (random) => {
    const walked = walk(idle(0.8)(random), { from: 100 });
    if (isTrip(walked.history, at, tenfold.draw(random))) found += 1;
    return walked;
  });
  const seldom = each(options, '95 % zeros', (random) => walk(idle(0.95)(random), { from: 100 }));
  const never = each(options, '95 % zeros', (random) =>
    walk(idle(0.95)(random), { from: 100, accepts: false }),
  );
  return [
    ...falseAlarms('80 % zeros, work NB(80, 5), hourly', often, 1.5),
    share('80 % zeros, work NB(80, 5), hourly', 'tenfold work found', found, often.length, 0.9),
    ...falseAlarms('95 % zeros, every alarm accepted', seldom, 1.5),
    ...falseAlarms('95 % zeros, none accepted', never, 2.5),
  ];
}

function officeHours(options: Setting): GuardFigure[] {
  const work = tableOf(120, 10);
  return [0, 11].flatMap((offset) => {
    const walks = each(options, `office ${offset}`, (random) =>
      walk(
        series(24 * 56, HOUR_MS, random, (at) => {
          const local = at + offset * HOUR_MS;
          const hour = (local % DAY_MS) / HOUR_MS;
          return !isWeekend(local) && hour >= 9 && hour < 17 ? work.draw(random) : 0;
        }),
        { from: 24 * 14 },
      ),
    );
    return falseAlarms(`office hours NB(120, 10), hourly, ${offset} h from UTC`, walks, 1.5, 1.5);
  });
}

function weekdays(options: Setting): GuardFigure[] {
  const work = tableOf(200, 20);
  const idle = each(options, 'weekends', (random) =>
    walk(
      series(300, DAY_MS, random, (at) => (isWeekend(at) ? 0 : work.draw(random))),
      { from: 28 },
    ),
  );
  const means = [20, 200, 150, 120, 90, 60, 40];
  const seven = each(options, 'seven weekdays', (random) =>
    walk(
      series(300, DAY_MS, random, (at) => tableOf(means[new Date(at).getUTCDay()] ?? 1, 10).draw(random)),
      { from: 60 },
    ),
  );
  return [
    ...falseAlarms('idle weekends, NB(200, 20) daily', idle, 1.5, 1.5),
    ...falseAlarms('seven different weekdays, daily', seven, 2),
  ];
}

function quarterHours(options: Setting): GuardFigure[] {
  const setting = 'quarter-hours, day × week (peak 60, night 0.4, k 10)';
  const meanAt = (at: number): number => {
    const hour = (at % DAY_MS) / HOUR_MS;
    return (isWeekend(at) ? 0.4 : 1) * (0.4 + 59.6 * Math.exp(-((hour - 13) ** 2) / 15));
  };
  const draw: Draw = (at, random) => tableOf(meanAt(at), 10).draw(random);
  const found = { burst: 0, tenfold: 0, edge: 0, exact: 0, drawn: 0, held: 0 };
  const of = { burst: 0, tenfold: 0, edge: 0, exact: 0, oracle: 0, held: 0 };
  const walks = each(options, setting, (random) => {
    const walked = walk(series(96 * 28, QUARTER_MS, random, draw), { from: 96 * 14 });
    const { history } = walked;
    for (let quarter = 0; quarter < 96; quarter += 1) {
      const at = START + 28 * DAY_MS + quarter * QUARTER_MS;
      const mean = meanAt(at);
      const trips = (count: number): number => (isTrip(history, at, count) ? 1 : 0);
      if (quarter === 12) {
        of.burst += 1;
        found.burst += trips(40);
      }
      // The edges of the day are where a quarter of an hour changes the mean by more than a tenth.
      const isEdge = Math.abs(meanAt(at + QUARTER_MS) - mean) > 0.1 * mean;
      if (mean >= 10 && quarter % 4 === 0) {
        of[isEdge ? 'edge' : 'tenfold'] += 1;
        found[isEdge ? 'edge' : 'tenfold'] += trips(tableOf(10 * mean, 10).draw(random));
      }
      if (quarter === 52) {
        of.exact += 1;
        found.exact += trips(Math.round(3 * mean));
        const threefold = tableOf(3 * mean, 10);
        for (let time = 0; time < 10; time += 1) found.drawn += trips(threefold.draw(random));
        of.oracle += 10 * threefold.atLeast(tableOf(mean, 10).unlikelyFrom(ALPHA));
        of.held += 1;
        if (decide(history, { at, count: 0, units: UNITS }, OPTIONS).worth === 'hold') found.held += 1;
      }
      history.add({ at, units: UNITS, count: draw(at, random, quarter) });
    }
    return walked;
  });
  return [
    ...falseAlarms(setting, walks, 1.5),
    share(setting, '40 at 03:00 found', found.burst, of.burst, 0.99),
    share(setting, 'tenfold found, mean 10 or more', found.tenfold, of.tenfold, 0.99),
    share(setting, '… on the steep edge', found.edge, of.edge, 0.9),
    share(setting, 'exactly 3 × at noon found', found.exact, of.exact, 0.99),
    share(setting, '3 × at noon, drawn, ÷ an oracle’s', found.drawn, of.oracle, 0.85),
    share(setting, 'none at noon held', found.held, of.held, 0.99),
  ];
}

function levels(options: Setting): GuardFigure[] {
  let [tripped, ends] = [0, 0];
  each(options, 'month-end', (random) => {
    let seen = 0;
    const isEnd = (at: number): boolean => new Date(at + DAY_MS).getUTCDate() === 1;
    const runs = series(365, DAY_MS, random, (at) => tableOf(isEnd(at) ? 600 : 100, 10).draw(random));
    walk(runs, {
      from: 0,
      onRun(index, { verdict }) {
        if (!isEnd(Number(runs[index]?.at))) return;
        seen += 1;
        if (seen <= 4) return;
        ends += 1;
        tripped += verdict === 'fail' ? 1 : 0;
      },
    });
  });
  const month = figureOf({
    rule: 'count',
    setting: 'month-end × 6, daily',
    what: 'of the later ones trip, after three accepted',
    measured: tripped / ends,
    reach: { most: 0.1 },
    repetitions: ends,
  });
  const shifts = [2, 3].map((times) => {
    let [alarms, series_] = [0, 0];
    each(options, `shift ${times}`, (random) => {
      let [accepted, after, own] = [0, 0, 0];
      const runs = series(240, DAY_MS, random, (_, __, index) =>
        tableOf(index < 100 ? 100 : 100 * times, 10).draw(random),
      );
      walk(runs, {
        from: 0,
        onRun(index, { verdict }) {
          if (index < 100) return;
          if (accepted < 2) accepted += verdict === 'fail' ? 1 : 0;
          else if (after < 60) {
            after += 1;
            own += verdict === 'fail' ? 1 : 0;
          }
        },
      });
      if (accepted < 2) return;
      alarms += own;
      series_ += 1;
    });
    return figureOf({
      rule: 'count',
      setting: `honest shift × ${times}, daily`,
      what: 'alarms in 60 runs after two accepted',
      measured: alarms / series_,
      reach: { most: 0.2 },
      repetitions: series_,
    });
  });
  return [month, ...shifts];
}

function outages(options: Setting): GuardFigure[] {
  const work = tableOf(30, 10);
  const walks = each(options, 'outages', (random) => {
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
    return walk(runs, { from: 24 * 14 });
  });
  return falseAlarms('outages of 1–24 runs, then the backlog, hourly', walks, 1.5);
}

function drifts(options: Setting): GuardFigure[] {
  const reaches = [
    { k: 2, alpha: ALPHA, most: 40 },
    { k: 10, alpha: ALPHA, most: 25 },
    { k: 100, alpha: ALPHA, most: 14 },
    { k: 2, alpha: 2.5e-4, most: 48 },
    { k: 10, alpha: 2.5e-4, most: 30 },
    { k: 100, alpha: 2.5e-4, most: 17 },
  ];
  return reaches.map(({ k, alpha, most }) => {
    const delays = each(options, `drift ${k}`, (random) => {
      const runs = series(170, DAY_MS, random, (_, __, index) =>
        tableOf(1_000 * 1.02 ** Math.max(0, index - 100), k).draw(random),
      );
      const history = new CountHistory();
      for (const [index, run] of runs.entries()) {
        const { verdict, worth, state } = decide(history, run, { ...OPTIONS, alpha });
        if (index >= 100 && verdict === 'fail' && worth === undefined) return index - 100;
        history.add({ ...run, accepted: verdict === 'fail', state });
      }
      return runs.length - 100;
    });
    return figureOf({
      rule: 'count',
      setting: `drift of 2 % a run, μ 1000, k ${k}, α ${alpha}`,
      what: 'median delay in runs',
      measured: median(delays),
      reach: { most },
      repetitions: delays.length,
    });
  });
}

/** What a decision costs, over half a year of quarters of an hour. */
function cost(options: Setting): GuardFigure[] {
  const random = seededRandom(`${options.seed} cost`);
  const length = 96 * 182;
  const runs = series(length, QUARTER_MS, random, (at) =>
    tableOf(0.4 + 59.6 * Math.exp(-(((at % DAY_MS) / HOUR_MS - 13) ** 2) / 15), 10).draw(random),
  );
  const history = new CountHistory();
  const startedAt = performance.now();
  for (const run of runs) {
    const { verdict, state } = decide(history, run, { ...OPTIONS, alpha: 2.5e-4 });
    history.add({ ...run, accepted: verdict === 'fail', state });
  }
  const measured = (performance.now() - startedAt) / length;
  const setting = 'half a year of quarter-hours';
  return [
    figureOf({
      rule: 'count',
      setting,
      what: 'ms a decision',
      measured,
      reach: { most: 1 },
      repetitions: length,
    }),
  ];
}

/** What the rule reaches on jobs with a rhythm, beside naive rules over the same runs. */
export function measureRhythms(
  seed: string,
  repetitions: number,
  progress: (text: string) => void,
): GuardFigure[] {
  const parts = { oftenIdle, officeHours, weekdays, quarterHours, levels, outages, drifts, cost };
  return Object.entries(parts).flatMap(([name, measure]) => {
    progress(`count, ${name}`);
    return measure({ seed, repetitions });
  });
}
