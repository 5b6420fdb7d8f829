import type { CountOf } from '../flags/guard-policy.js';
import { countVerdict, judgeCount, type CountOptions } from './count.js';
import type { CountedRun } from './count-history.js';
import { falseTripsAYear } from './false-alarm-budget.js';
import type { Judged, Verdict } from './verdict.js';

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

export interface Backtest extends Stops {
  readonly rule: string;
  readonly of: CountOf;
  readonly floor: number;
  readonly runs: readonly BacktestRun[];
  /** The same at a tenth of alpha and at ten times alpha. */
  readonly alternatives: readonly Stops[];
  readonly budget: {
    /** At the pace of these runs; null for fewer than two. */
    readonly runsAYear: number | null;
    /** The most trips a year, on average, when nothing is ever wrong: in one region, by this rule. */
    readonly falseTripsAYear: number | null;
  };
}

const YEAR_MS = 365.25 * 86_400_000;

/**
 * Walks forward over past runs, whatever their order: each is judged after those before it that passed, as it
 * would have been, for what a rule has stopped teaches nothing. Pure.
 */
export function backtestCount(history: readonly CountedRun[], options: CountOptions): Backtest {
  const runs = history.toSorted((one, other) => Number(one.at) - Number(other.at));
  const judged = walkForward(runs, options, judgeCount);
  const runsAYear = paceOf(runs);
  return {
    rule: options.rule,
    of: options.of ?? 'changes',
    floor: options.floor,
    ...stopsOf(judged, options.alpha),
    runs: runs.flatMap((run, at) => {
      const each = judged[at];
      return each === undefined ? [] : [shownRun(run, each)];
    }),
    alternatives: [options.alpha / 10, Math.min(0.5, options.alpha * 10)].map((alpha) =>
      stopsOf(walkForward(runs, { ...options, alpha }, countVerdict), alpha),
    ),
    budget: {
      runsAYear,
      falseTripsAYear:
        runsAYear === null
          ? null
          : falseTripsAYear({
              regions: 1,
              runsAYear,
              releasesAYear: 0,
              runAlphas: [options.alpha],
              outcomeAlphas: [],
            }),
    },
  };
}

function walkForward<Said extends Pick<Judged, 'verdict' | 'worth'>>(
  runs: readonly CountedRun[],
  options: CountOptions,
  judge: (history: readonly CountedRun[], run: CountedRun, options: CountOptions) => Said,
): Said[] {
  const accepted: CountedRun[] = [];
  return runs.map((run) => {
    const judged = judge(accepted, run, options);
    if (judged.verdict !== 'fail') accepted.push(run);
    return judged;
  });
}

function stopsOf(judged: readonly Pick<Judged, 'verdict' | 'worth'>[], alpha: number): Stops {
  const fails = judged.filter(({ verdict }) => verdict === 'fail');
  const holds = fails.filter(({ worth }) => worth === 'hold').length;
  return { alpha, trips: fails.length - holds, holds };
}

function shownRun(
  { at, count, units }: CountedRun,
  { verdict, worth, reason, figures }: Judged,
): BacktestRun {
  const figure = (name: string): number | null => {
    const value = figures[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : null;
  };
  return {
    at: new Date(at).toISOString(),
    ...{ count, units },
    ...{ expected: figure('expected'), low: figure('low'), high: figure('high'), p: figure('p') },
    verdict,
    ...(worth !== undefined && { worth }),
    reason,
  };
}

function paceOf(runs: readonly CountedRun[]): number | null {
  const [first, last] = [runs[0], runs.at(-1)];
  if (first === undefined || last === undefined || Number(last.at) === Number(first.at)) return null;
  return Math.round(((runs.length - 1) * YEAR_MS) / (Number(last.at) - Number(first.at)));
}
