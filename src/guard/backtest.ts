import { setImmediate } from 'node:timers/promises';
import type { CountOf } from '../flags/guard-policy.js';
import { countOf, number } from '../kernel/words.js';
import { figure } from './in-words.js';
import { decide, isFirstDay, told, type CountDecision, type CountOptions, type Expected } from './count.js';
import type { ComparableRuns } from './count-class.js';
import { withDrift } from './count-drift.js';
import { CountHistory, type CountedRun } from './count-history.js';
import { shownInterval, unlikelyFrom } from './count-prediction.js';
import { daysInWords } from './count-words.js';
import type { Judged, Verdict } from '../containment/verdict.js';

/** What the rule would have said of one run, knowing only the runs before it. */
export interface BacktestRun {
  /** ISO 8601 in UTC. */
  readonly at: string;
  readonly count: number;
  /** Admitted units. */
  readonly units: number;
  /** Null where there were too few runs to expect anything. */
  readonly expected: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly p: number | null;
  readonly verdict: Verdict;
  /** `hold` where a fail is worth no trip: far too few. */
  readonly worth?: 'hold';
  readonly reason: string;
}

/** How often the rule would have stopped a run. */
export interface Stops {
  readonly alpha: number;
  /** Runs that were too many. */
  readonly trips: number;
  /** Runs that were far too few. */
  readonly holds: number;
}

/** What the next runs are expected to plan, by the quarters of a day, on some weekdays. */
export interface BandOfDay {
  /** `Mon–Fri`. */
  readonly days: string;
  readonly quarters: readonly {
    /** Quarters of an hour since midnight. */
    readonly quarter: number;
    readonly expected: number;
    readonly low: number;
    readonly high: number;
    /** The smallest count that trips; null where none does. */
    readonly tripsFrom: number | null;
  }[];
}

export interface Backtest extends Stops {
  readonly rule: string;
  readonly of: CountOf;
  readonly floor: number;
  readonly runs: readonly BacktestRun[];
  /** How many of the same runs would have been stopped at a tenth of alpha, and at ten times alpha. */
  readonly alternatives: readonly Stops[];
  /** How many runs the rule had something to compare with, and how many trips alpha makes of as many. */
  readonly measured: { readonly judged: number; readonly expectedTrips: number };
  /** Where what was measured is not what alpha promises, and where the rule can say nothing. */
  readonly warnings: readonly string[];
  readonly bands: readonly BandOfDay[];
  readonly budget: {
    /** At the pace of these runs; null for fewer than two. */
    readonly runsAYear: number | null;
    /** The most trips a year, on average, when nothing is ever wrong: in one region, by this rule. */
    readonly falseTripsAYear: number | null;
  };
}

const YEAR_MS = 365.25 * 86_400_000;

/**
 * Walks forward over past runs, whatever their order: each is judged after those before it that passed or that a
 * person accepted, as it would have been, for what a rule has stopped is no part of the baseline. Pure.
 */
export function backtestCount(past: readonly CountedRun[], options: CountOptions): Backtest {
  const steps = backtestSteps(past, options);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** So long it goes on before whatever else the process has to do. */
const TURN_MS = 10;

/** The same, in turns with whatever else the process has to do: a year of runs takes seconds. */
export function backtestCountInTurns(past: readonly CountedRun[], options: CountOptions): Promise<Backtest> {
  return inTurns(backtestSteps(past, options));
}

/**
 * What each quarter of the next week is expected to plan after these accepted runs: what the guard judges the next runs
 * by, without walking over those before. In turns, too.
 */
export function expectedBands(accepted: readonly CountedRun[], options: CountOptions): Promise<BandOfDay[]> {
  const runs = inOrder(accepted);
  return inTurns(bandsOf(new CountHistory(options.timeZone, runs), runs, options));
}

const inOrder = (runs: readonly CountedRun[]): CountedRun[] =>
  runs.toSorted((one, other) => Number(one.at) - Number(other.at));

async function inTurns<Result>(steps: Generator<undefined, Result, undefined>): Promise<Result> {
  let began = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() - began < TURN_MS) continue;
    await setImmediate();
    began = performance.now();
  }
}

/** A run, or a time of day, is a step. */
function* backtestSteps(
  past: readonly CountedRun[],
  options: CountOptions,
): Generator<undefined, Backtest, undefined> {
  const runs = inOrder(past);
  const { decisions, shown, history } = yield* walkForward(runs, options);
  const runsAYear = paceOf(runs);
  const stops = stopsOf(decisions, runs, options);
  const judged = decisions.filter(({ expected }) => expected !== undefined).length;
  const measured = { judged, expectedTrips: judged * options.alpha };
  const firstDay = decisions.filter(
    ({ isFirstDay: first, expected }) => first && expected === undefined,
  ).length;
  const bands = yield* bandsOf(history, runs, options);
  return {
    rule: options.rule,
    of: options.of ?? 'changes',
    floor: options.floor,
    ...stops,
    runs: shown,
    alternatives: [options.alpha / 10, Math.min(0.5, options.alpha * 10)].map((alpha) =>
      stopsOf(decisions, runs, { ...options, alpha }),
    ),
    measured,
    warnings: warningsOf(runs, { ...stops, ...measured, firstDay }, bands, options),
    bands,
    budget: {
      runsAYear,
      falseTripsAYear:
        runsAYear === null
          ? null
          : falseTripsAYear({
              regions: 1,
              runsAYear,
              releasesAYear: 0,
              runAlphas: [withDrift(options.alpha)],
              outcomeAlphas: [],
            }),
    },
  };
}

/** What of a decision tells how often runs are stopped: all of it would keep every day's history. */
type Decided = Pick<CountDecision, 'verdict'> & {
  readonly worth: CountDecision['worth'] | undefined;
  readonly expected: Pick<Expected, 'lnMore' | 'lnFewer' | 'mayHold' | 'isDrift'> | undefined;
  readonly isFirstDay: boolean;
};

interface Walk {
  readonly decisions: readonly Decided[];
  readonly shown: readonly BacktestRun[];
  /** What is accepted after the last of them. */
  readonly history: CountHistory;
}

function* walkForward(
  runs: readonly CountedRun[],
  options: CountOptions,
): Generator<undefined, Walk, undefined> {
  const history = new CountHistory(options.timeZone);
  const decisions: Decided[] = [];
  const shown: BacktestRun[] = [];
  for (const run of runs) {
    yield;
    const decision = decide(history, run, options);
    shown.push(shownRun(run, told(decision, run, options)));
    const { verdict, worth, expected, comparison } = decision;
    const first = isFirstDay(comparison);
    decisions.push({ verdict, worth, expected: expected && stopsBy(expected), isFirstDay: first });
    const fails = verdict === 'fail';
    if (!fails || run.accepted === true)
      history.add({ ...run, accepted: fails && run.accepted === true, state: decision.state });
  }
  return { decisions, shown, history };
}

function stopsBy({ lnMore, lnFewer, mayHold, isDrift }: Expected): Decided['expected'] {
  return { lnMore, lnFewer, mayHold, isDrift };
}

function stopsOf(
  decisions: readonly Decided[],
  runs: readonly CountedRun[],
  { alpha, floor }: CountOptions,
): Stops {
  let [trips, holds] = [0, 0];
  decisions.forEach(({ expected, verdict, worth }, index) => {
    if (!expected) return;
    const drifted = verdict === 'fail' && worth === undefined && expected.isDrift;
    if (drifted || ((runs[index]?.count ?? 0) >= floor && expected.lnMore <= Math.log(alpha))) trips += 1;
    else if (expected.mayHold && expected.lnFewer <= Math.log(alpha)) holds += 1;
  });
  return { alpha, trips, holds };
}

function shownRun(
  { at, count, units }: CountedRun,
  { verdict, worth, reason, figures }: Judged,
): BacktestRun {
  const figureOf = (name: string): number | null => {
    const value = figures[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : null;
  };
  return {
    at: new Date(at).toISOString(),
    ...{ count, units },
    ...{ expected: figureOf('expected'), low: figureOf('low'), high: figureOf('high'), p: figureOf('p') },
    verdict,
    ...(worth !== undefined && { worth }),
    reason,
  };
}

/** What is told as more, or fewer, than alpha promises is so by chance once in a hundred. */
const SURE = 0.01;
/** Of which share of runs a rule must have something to say. */
const JUDGED_SHARE = 0.5;

function warningsOf(
  runs: readonly CountedRun[],
  { trips, judged, expectedTrips, firstDay }: Stops & Backtest['measured'] & { readonly firstDay: number },
  bands: readonly BandOfDay[],
  { alpha, floor, of }: CountOptions,
): string[] {
  const what = of === 'units' ? 'units' : 'changes';
  const warnings: string[] = [];
  if (isMoreThan(trips, expectedTrips, SURE)) {
    warnings.push(
      `The measured rate is not alpha: ${countOf(trips, 'trip')} in ${countOf(judged, 'run')}, ${figure(expectedTrips)} expected. ` +
        'Either these runs were faulty, or the counts have a pattern that the rule does not know.',
    );
  }
  if (judged < JUDGED_SHARE * runs.length) {
    const why =
      2 * firstDay > runs.length - judged
        ? 'of the first day of a job that runs more often than daily only a count a hundred times as large fails'
        : 'the others had too few comparable runs before them';
    warnings.push(
      `The rule judges ${number(judged)} of ${countOf(runs.length, 'run')}: ${why}. Caps carry those.`,
    );
  }
  const most = runs.reduce((largest, { count }) => Math.max(largest, count), 0);
  if (runs.length > 0 && most < floor) {
    warnings.push(`No run reaches the floor of ${number(floor)} ${what}; the largest has ${number(most)}.`);
  }
  const blind = bands.flatMap(({ days, quarters }) => {
    const never = quarters.filter(({ tripsFrom }) => tripsFrom === null).length;
    return never > 0 ? [`${number(never)} of ${number(quarters.length)} times of day on ${days}`] : [];
  });
  if (blind.length > 0) {
    warnings.push(
      `No count trips at ${blind.join(' and ')}: runs then are always idle, and about ${number(Math.ceil(0.5 / alpha))} of them must be known first. Caps carry those.`,
    );
  }
  return warnings;
}

const QUARTER_MS = 900_000;
const WEEK_MS = 7 * 86_400_000;

/** What each quarter of the week after the runs is expected to plan, where the job runs then; alike days together. */
function* bandsOf(
  history: CountHistory,
  runs: readonly CountedRun[],
  options: CountOptions,
): Generator<undefined, BandOfDay[], undefined> {
  const last = runs.at(-1);
  if (!last || last.units <= 0) return [];
  const start = Math.floor(Number(last.at) / QUARTER_MS) * QUARTER_MS + QUARTER_MS;
  const days = new Map<number, BandOfDay['quarters'][number][]>();
  const known = new Map<object, Omit<BandOfDay['quarters'][number], 'quarter'>>();
  const { placeOf, isUsual, classOf } = history.compare({ ...last, at: start, due: undefined });
  for (let at = start; at < start + WEEK_MS; at += QUARTER_MS) {
    yield;
    const place = placeOf(at);
    if (!isUsual(place)) continue;
    const comparable = classOf(place);
    const band = known.get(comparable) ?? bandOf(comparable, last.units, options);
    known.set(comparable, band);
    const quarters = days.get(place.weekday) ?? [];
    quarters.push({ quarter: place.slot, ...band });
    days.set(place.weekday, quarters);
  }
  const alike = new Map<string, { weekdays: number[]; quarters: BandOfDay['quarters'] }>();
  for (const [weekday, quarters] of days) {
    const sorted = quarters.toSorted((one, other) => one.quarter - other.quarter);
    const key = JSON.stringify(sorted);
    const group = alike.get(key) ?? { weekdays: [], quarters: sorted };
    group.weekdays.push(weekday);
    alike.set(key, group);
  }
  return [...alike.values()].map(({ weekdays, quarters }) => ({ days: daysInWords(weekdays), quarters }));
}

function bandOf(
  comparable: ComparableRuns,
  units: number,
  { alpha, floor }: CountOptions,
): Omit<BandOfDay['quarters'][number], 'quarter'> {
  const prediction = comparable.predict(units);
  const from = unlikelyFrom(comparable.predictWithStopped(units, alpha) ?? prediction, alpha);
  return {
    expected: prediction.mean,
    ...shownInterval(prediction),
    tripsFrom: Number.isFinite(from) ? Math.max(from, floor) : null,
  };
}

function paceOf(runs: readonly CountedRun[]): number | null {
  const [first, last] = [runs[0], runs.at(-1)];
  if (first === undefined || last === undefined || Number(last.at) === Number(first.at)) return null;
  return Math.round(((runs.length - 1) * YEAR_MS) / (Number(last.at) - Number(first.at)));
}

/** How often rules run, and how often each may be wrong. */
export interface AlarmSources {
  readonly regions: number;
  /** Runs of the job in one region. */
  readonly runsAYear: number;
  readonly releasesAYear: number;
  /** The alphas of all `count` rules and of all `rate` rules: each judges every run. */
  readonly runAlphas: readonly number[];
  /** The alphas of all `outcome` rules: each judges every release once in each region. */
  readonly outcomeAlphas: readonly number[];
}

/** The most trips in a year, on average, when nothing is ever wrong (docs/reference/guard.md). */
export function falseTripsAYear(sources: AlarmSources): number {
  const { regions, runsAYear, releasesAYear, runAlphas, outcomeAlphas } = sources;
  return regions * (runsAYear * sum(runAlphas) + releasesAYear * sum(outcomeAlphas));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Whether so many events are more than such a mean brings about, but with a chance of `p` (Poisson's). */
export function isMoreThan(events: number, mean: number, p: number): boolean {
  let [chance, fewer] = [Math.exp(-mean), 0];
  for (let each = 0; each < events; each += 1) {
    fewer += chance;
    chance *= mean / (each + 1);
  }
  return 1 - fewer < p;
}
