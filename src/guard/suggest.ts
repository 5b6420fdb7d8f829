import { rulesOf, type Cap, type CountOf, type CountRule, type GuardPolicy } from '../flags/guard-policy.js';
import { backtestCount, type Backtest } from './backtest.js';
import { DEFAULT_COUNT_ALPHA } from './count.js';
import type { CountedRun } from './count-history.js';

/** What accepted runs of a region planned of one kind, as changes and as units that have any. */
export interface KindHistory {
  readonly region: string;
  readonly change: string;
  readonly of: CountOf;
  readonly runs: readonly CountedRun[];
}

/** What a proposed rule would have said of a region's runs. */
export interface Said {
  readonly region: string;
  readonly runs: number;
  readonly judged: number;
  readonly trips: number;
  readonly holds: number;
}

/** A cap or a count rule that history proposes, beside the one in force. */
export type Suggestion =
  | {
      readonly kind: 'cap';
      readonly now: Cap | undefined;
      readonly proposed: Cap;
      readonly said: readonly Said[];
    }
  | {
      readonly kind: 'count';
      readonly now: CountRule | undefined;
      readonly proposed: CountRule;
      readonly said: readonly Said[];
    };

/** A cap is so many times the largest accepted count: caps are for the plainly absurd. */
const CAP_TIMES = 3;
/** So many false trips a year of each rule, in all regions together. */
const TRIPS_A_YEAR = 0.5;
const LEAST_FLOOR = 5;
/** With fewer runs in every region nothing is proposed. */
const FEWEST_RUNS = 12;

/** Proposes caps, count rules and floors from accepted runs. Pure; kinds that no run has planned get none. */
export function suggestRules(histories: readonly KindHistory[], guard: GuardPolicy): Suggestion[] {
  const byKind = new Map<string, KindHistory[]>();
  for (const history of histories) {
    const key = `${history.change} ${history.of}`;
    byKind.set(key, [...(byKind.get(key) ?? []), history]);
  }
  return [...byKind.values()].flatMap((regions) => {
    const [first] = regions;
    const known = regions.filter(({ runs }) => runs.length >= FEWEST_RUNS);
    const most = Math.max(0, ...known.flatMap(({ runs }) => runs.map(({ count }) => count)));
    if (!first || most === 0) return [];
    const count = countSuggestion(first, known, guard);
    return first.of === 'changes' ? [capSuggestion(first, known, most, guard), count] : [count];
  });
}

function capSuggestion(
  { change }: KindHistory,
  regions: readonly KindHistory[],
  most: number,
  { caps }: GuardPolicy,
): Suggestion {
  const now = caps.find(({ kind }) => kind === change);
  const perRun = rounded(CAP_TIMES * most, Math.ceil);
  const said = regions.map(({ region, runs }) => ({
    ...{ region, runs: runs.length, judged: runs.length, holds: 0 },
    trips: runs.filter(({ count }) => count > perRun).length,
  }));
  return { kind: 'cap', now, proposed: { ...now, kind: change, perRun }, said };
}

function countSuggestion(
  { change, of }: KindHistory,
  regions: readonly KindHistory[],
  { rules, timeZone }: GuardPolicy,
): Suggestion {
  const now = rulesOf(rules, 'count').find((rule) => rule.change === change && rule.of === of);
  const name = now?.name ?? `${change}-${of === 'units' ? 'units' : 'per-run'}`;
  const options = { rule: name, of, ...(timeZone !== undefined && { timeZone }) };
  const tried = (alpha: number, floor: number): { region: string; backtest: Backtest }[] =>
    regions.map(({ region, runs }) => ({
      region,
      backtest: backtestCount(runs, { ...options, alpha, floor }),
    }));
  const open = tried(DEFAULT_COUNT_ALPHA, LEAST_FLOOR);
  const runsAYear = open.reduce((sum, { backtest }) => sum + (backtest.budget.runsAYear ?? 0), 0);
  const alpha = Math.min(DEFAULT_COUNT_ALPHA, rounded(TRIPS_A_YEAR / Math.max(1, runsAYear), Math.floor));
  // What honest runs reached although the rule would have stopped them is what a floor is for.
  const stopped = tried(alpha, LEAST_FLOOR).flatMap(({ backtest }) =>
    backtest.runs.filter(({ verdict, worth }) => verdict === 'fail' && worth === undefined),
  );
  const largest = Math.max(0, ...stopped.map(({ count }) => count));
  const floor = largest === 0 ? LEAST_FLOOR : rounded(largest + 1, Math.ceil);
  const said = tried(alpha, floor).map(({ region, backtest: { runs, measured, trips, holds } }) => ({
    ...{ region, runs: runs.length, judged: measured.judged, trips, holds },
  }));
  return { kind: 'count', now, proposed: { kind: 'count', name, change, of, alpha, floor }, said };
}

/** To two digits that end in 0 or 5: what a person would write. */
function rounded(value: number, to: (value: number) => number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = power / (power >= 10 || power < 1 ? 2 : 1);
  return Number((to(value / step) * step).toPrecision(2));
}

/** A suggestion as lines of a policy difference; empty where the policy says so already. */
export function policyDifference(suggestion: Suggestion): string[] {
  const { now } = suggestion;
  const proposed = written(suggestion.proposed);
  if (now === undefined) return [`+ ${proposed}`];
  const before = written(now);
  return before === proposed ? [] : [`- ${before}`, `+ ${proposed}`];
}

function written(rule: Cap | CountRule): string {
  if ('name' in rule) {
    const { name, change, of, alpha, floor } = rule;
    return `- { kind: count, name: ${name}, change: ${change}, of: ${of}, alpha: ${plain(alpha)}, floor: ${floor} }`;
  }
  const { kind, perRun, perUnit, shareOfRegionPermille: share, shareFloor } = rule;
  const limits = [
    ...(perRun === undefined ? [] : [`perRun: ${perRun}`]),
    ...(perUnit === undefined ? [] : [`perUnit: ${perUnit}`]),
    ...(share === undefined ? [] : [`shareOfRegion: ${share / 10}%`]),
    ...(shareFloor === undefined ? [] : [`floor: ${shareFloor}`]),
  ];
  return `- { kind: ${[kind, ...limits].join(', ')} }`;
}

function plain(value: number): string {
  return value.toFixed(12).replace(/0+$/, '');
}
