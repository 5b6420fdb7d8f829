/** The accepted runs before a run, and which of them it is compared with. */
import { calendarOf, placeColumns, type Calendar, type CalendarPlace } from './count-calendar.js';
import { ComparableRuns, RUNS_ELSEWHERE, type Descent } from './count-class.js';
import type { CountState } from './count-state.js';
import { K } from './count-prediction.js';
import { isWithin, type Split } from './count-split.js';
import { learnTree, type CalendarTree } from './count-tree.js';
import {
  MOST_OLDER_RUNS,
  MOST_BASELINE_RUNS,
  SPECIAL_DAYS_MS,
  BASELINE_MS,
  BASELINE_RUNS,
  usualWait,
  waitedFor,
  type Covering,
} from './coverage.js';
import { everyRun, narrowed, type ClassBounds } from './count-words.js';
import { clippedMean } from './robust-roots.js';

/** How many changes of the kind a run planned, or for how many units any, of those admitted that history knew. */
export interface CountedRun extends Covering {
  readonly count: number;
  /** Admitted units, but for the newly admitted. */
  readonly units: number;
  /** When it was due, where that is not when it ran: a missed slot that was caught up. As `at`. */
  readonly due?: Date | number | undefined;
  /** A person accepted it after it was held, tripped or restored. */
  readonly accepted?: boolean | undefined;
  /** What the rule kept of it when it was judged; a run from before it was kept has none. */
  readonly state?: CountState | undefined;
  /** Newly admitted units, and what was planned for them: no history tells whether that is plausible. */
  readonly apart?: { readonly units: number; readonly count: number } | undefined;
}

/** Up to so many runs classes are learned at each run; beyond, at the start of each day. */
const LEARNED_EACH_RUN = 300;
/** So much gathered work and more is that of missed runs. */
export const LATE_FROM = 1.5;
/** A count this many times its class's mean says as much of growth as one of so many. */
const SPIKE = 3;
/** Growth beyond is no growth of itself: half as much again in a year of daily runs is 1.1 here. */
const MOST_GROWTH = 1.2;
const DAY_MS = 86_400_000;
/** Older runs are of no use where fewer than this many of them worked. */
const SIZES_KNOWN_FROM = 12;
/** A level that people have accepted is looked for among so many runs. */
const LATEST_RUNS = 100;

/** A run in history, with its place on the calendar. */
export interface PlacedRun extends Omit<CountedRun, 'due' | 'apart'> {
  readonly atMs: number;
  readonly place: CalendarPlace;
}

/** What a run is compared with. */
export interface Comparison {
  readonly place: CalendarPlace;
  /** The last accepted run before it. */
  readonly newest: PlacedRun | undefined;
  /** The latest accepted runs. Oldest first. */
  latest(): readonly PlacedRun[];
  /** Whether a person accepted any of these after an alarm. */
  readonly hasAccepted: boolean;
  /** How many runs are in classes. */
  readonly baselineRuns: number;
  readonly class: ComparableRuns;
  /** How many runs' work has gathered for this run's units: 1, or more where runs failed to come. */
  readonly gathered: number;
  /** What runs usually wait for, in milliseconds; 0 where there are too few to say. */
  readonly usualMs: number;
  /** How far a level that grows of itself is above that of history, from 1. */
  readonly growth: number;
  /** What the runs of the baseline planned for one unit, in the mean. */
  readonly level: number;
  /** Since when there is history, in milliseconds. */
  readonly spanMs: number;
  readonly placeOf: (at: number) => CalendarPlace;
  /** Whether the job has run on that weekday, and at that time of day. */
  readonly isUsual: (place: CalendarPlace) => boolean;
  readonly classOf: (place: CalendarPlace) => ComparableRuns;
}

/** Accepted runs in the order in which they came, and what has been learned from them. */
export class CountHistory {
  readonly #calendar: Calendar;
  readonly #runs: PlacedRun[];
  /** The places of those that worked. */
  readonly #worked: number[] = [];
  /** The places of those on a month's special days. */
  readonly #special: number[] = [];
  #learned: Learned | undefined;

  constructor(timeZone = 'UTC', runs: readonly CountedRun[] = []) {
    this.#calendar = calendarOf(timeZone);
    this.#runs = runs
      .filter(({ units, newcomers }) => units > 0 || newcomers !== undefined)
      .map((run) => this.#placed(run))
      .sort((one, other) => one.atMs - other.atMs);
    this.#runs.forEach((run, at) => {
      this.#index(run, at);
    });
  }

  /** A run that came after all others and was accepted. */
  add(run: CountedRun): void {
    if (run.units <= 0 && run.newcomers === undefined) return;
    const placed = this.#placed(run);
    this.#index(placed, this.#runs.length);
    this.#runs.push(placed);
  }

  #index({ count, units, place }: PlacedRun, at: number): void {
    if (count > 0) this.#worked.push(at);
    if (place.month !== 0 && units > 0) this.#special.push(at);
  }

  compare(now: CountedRun): Comparison {
    const at = Number(now.at);
    const place = this.#placed(now).place;
    const before = this.#before(at);
    const newest = this.#runs[before - 1];
    // After a long pause it is the four weeks before the pause: its last hundred runs may be those of a Sunday.
    const recent = this.#baselineFrom(before, Math.min(at, (newest?.atMs ?? at) + DAY_MS));
    const learned =
      before - recent <= LEARNED_EACH_RUN
        ? this.#learn(recent, before)
        : this.#learnDaily(before, place.date);
    return {
      place,
      newest,
      latest: () => this.#runs.slice(Math.max(recent, before - LATEST_RUNS), before),
      hasAccepted: this.#acceptedIn(Math.max(recent, before - LATEST_RUNS), before),
      baselineRuns: learned.baselineRuns,
      usualMs: learned.usualMs,
      growth: learned.growth,
      level: learned.level,
      spanMs: at - (this.#runs[recent]?.atMs ?? at),
      gathered: waitedFor(this.#runs, before, now, learned.usualMs),
      class: learned.find(place),
      classOf: (other) => learned.find(other),
      placeOf: (other) => this.#calendar.placeOf(other),
      isUsual: ({ weekday, slot }) =>
        learned.bounds.weekdays.own.has(weekday) && learned.bounds.slots.own.has(slot),
    };
  }

  #placed(run: CountedRun): PlacedRun {
    const { at, due = at, count, units, covered, newcomers, accepted, state } = run;
    // Written out: thousands are made at each start, and a spread takes five times as long.
    const atMs = Number(at);
    return {
      at: atMs,
      atMs,
      place: this.#calendar.placeOf(Number(due)),
      count,
      units,
      covered,
      newcomers,
      accepted,
      state,
    };
  }

  /** How many of the runs came before. */
  #before(at: number): number {
    let before = this.#runs.length;
    while (before > 0 && (this.#runs[before - 1]?.atMs ?? -Infinity) >= at) before -= 1;
    return before;
  }

  #acceptedIn(from: number, to: number): boolean {
    for (let at = from; at < to; at += 1) if (this.#runs[at]?.accepted === true) return true;
    return false;
  }

  #learn(from: number, to: number): Learned {
    if (this.#learned?.from !== from || this.#learned.to !== to)
      this.#learned = new Learned(this.#runs, from, to, this.#older(from, to));
    return this.#learned;
  }

  /** From the runs before today; those of today join the classes that there are. */
  #learnDaily(before: number, date: number): Learned {
    let to = before;
    while (to > 0 && (this.#runs[to - 1]?.place.date ?? -Infinity) >= date) to -= 1;
    const newest = this.#runs[to - 1];
    const learned = this.#learn(this.#baselineFrom(to, (newest?.atMs ?? 0) + DAY_MS), to);
    learned.joinUpTo(this.#runs, before);
    return learned;
  }

  /**
   * The first of the runs before `to` that are the baseline of one at `at`: of the four weeks before, or the latest hundred.
   * Where fewer than a hundred of those worked, it is the hundredth that did: sizes are learned from these.
   */
  #baselineFrom(to: number, at: number): number {
    const since = (ms: number): number =>
      firstWhere(this.#runs.length, (index) => (this.#runs[index]?.atMs ?? Infinity) >= at - ms);
    const recent = Math.min(Math.max(0, to - BASELINE_RUNS), since(BASELINE_MS));
    const worked = (from: number): number =>
      firstWhere(this.#worked.length, (index) => (this.#worked[index] ?? 0) >= from);
    const upTo = worked(to);
    if (upTo - worked(recent) >= BASELINE_RUNS) return recent;
    const first = Math.max(
      worked(Math.max(to - MOST_BASELINE_RUNS, since(SPECIAL_DAYS_MS))),
      upTo - BASELINE_RUNS,
    );
    return upTo - first < SIZES_KNOWN_FROM ? recent : Math.min(recent, this.#worked[first] ?? recent);
  }

  /** The places of runs before the baseline on days that come once a month. */
  #older(before: number, to: number): readonly number[] {
    const since = (this.#runs[to - 1]?.atMs ?? 0) - SPECIAL_DAYS_MS;
    const upTo = firstWhere(this.#special.length, (index) => (this.#special[index] ?? 0) >= before);
    const first = firstWhere(upTo, (index) => (this.#runs[this.#special[index] ?? 0]?.atMs ?? 0) >= since);
    return this.#special.slice(Math.max(first, upTo - MOST_OLDER_RUNS), upTo);
  }
}

/** The first of so many places where a condition holds that goes on to hold; their number where none does. */
function firstWhere(length: number, holds: (at: number) => boolean): number {
  let [below, upTo] = [-1, length];
  while (upTo - below > 1) {
    const middle = Math.floor((below + upTo) / 2);
    if (holds(middle)) upTo = middle;
    else below = middle;
  }
  return upTo;
}

/** What the runs from one place of a history up to another say. */
class Learned {
  readonly usualMs: number;
  readonly growth: number;
  /** What its runs planned for one unit, in the mean. */
  readonly level: number;
  readonly #tree: ClassNode;
  #joined: number;
  #baselineRuns = 0;

  constructor(
    runs: readonly PlacedRun[],
    readonly from: number,
    readonly to: number,
    older: readonly number[],
  ) {
    this.#joined = to;
    this.usualMs = usualWait(runs, from, to);
    const baseline: PlacedRun[] = [];
    for (let at = from; at < to; at += 1) {
      const run = runs[at];
      if (run && this.#isInTime(runs, at, run)) baseline.push(run);
    }
    this.#baselineRuns = baseline.length;
    this.level = clippedMean(Float64Array.from(baseline, ({ count, units }) => count / units));
    const special = older.flatMap((at) => {
      const run = runs[at];
      return run && (run.accepted === true || this.#isInTime(runs, at, run)) ? atLevel(run, this.level) : [];
    });
    const olderRuns = special.length;
    baseline.unshift(...special);
    const units = baseline.at(-1)?.units ?? 1;
    const places = placeColumns(baseline);
    const counts = Float64Array.from(baseline, (run) => (run.count * units) / run.units);
    const leaves: ComparableRuns[] = [];
    const tree = learnTree({ places, counts, older: olderRuns });
    this.#tree = classesOf(tree, everyRun(places), {}, { runs: baseline, units, leaves });
    shareSpreads(leaves, units);
    this.growth = this.#growthOf(baseline.slice(olderRuns), units);
  }

  /** What of the calendar there are runs of. */
  get bounds(): ClassBounds {
    return this.#tree.runs.bounds;
  }

  /**
   * How much a level has grown of itself: of the later half of the runs over the earlier, by what their classes are
   * like, less a standard error. A level that grows so is above that of history by as much.
   */
  #growthOf(inTime: readonly PlacedRun[], units: number): number {
    const halves = [0, 1].map((half) => {
      let [planned, usual, squares] = [0, 0, 0];
      const middle = Math.floor(inTime.length / 2);
      for (let at = half * middle; at < middle + half * middle; at += 1) {
        const run = inTime[at];
        if (!run) continue;
        const mean = (this.find(run.place).mean(units) * run.units) / units;
        const count = Math.min(run.count, SPIKE * mean);
        planned += count;
        usual += mean;
        squares += (count - mean) ** 2;
      }
      return { level: usual > 0 ? planned / usual : 1, variance: planned > 0 ? squares / planned ** 2 : 0 };
    });
    const [earlier, later] = halves;
    if (!earlier || !later || earlier.level <= 0 || later.level <= 0) return 1;
    const error = Math.sqrt(earlier.variance + later.variance);
    return Math.min(MOST_GROWTH, Math.max(1, (later.level / earlier.level) * Math.exp(-error)));
  }

  get baselineRuns(): number {
    return this.#baselineRuns;
  }

  find(place: CalendarPlace): ComparableRuns {
    let node = this.#tree;
    while (node.split) node = isWithin(node.split.by, place) ? node.split.within : node.split.outside;
    return node.runs;
  }

  /** Runs from today join the classes that were learned before it. */
  joinUpTo(runs: readonly PlacedRun[], before: number): void {
    for (; this.#joined < before; this.#joined += 1) {
      const run = runs[this.#joined];
      if (!run || !this.#isInTime(runs, this.#joined, run)) continue;
      this.find(run.place).add(run);
      this.#baselineRuns += 1;
    }
  }

  /** Whether it is part of the baseline: it had units, and no missed run's work had gathered for it. */
  #isInTime(runs: readonly PlacedRun[], at: number, run: PlacedRun): boolean {
    return run.units > 0 && waitedFor(runs, at, run, this.usualMs) < LATE_FROM;
  }
}

/** An older run as it would be today. One of which no level was kept counts only where a person accepted it. */
function atLevel(run: PlacedRun, level: number): PlacedRun[] {
  const then = run.state?.level ?? 0;
  if (then > 0 && level > 0) return [{ ...run, count: (run.count * level) / then }];
  return run.accepted === true ? [run] : [];
}

interface ClassNode {
  readonly runs: ComparableRuns;
  readonly split?: {
    readonly by: Split;
    readonly within: ClassNode;
    readonly outside: ClassNode;
  };
}

interface Learning {
  readonly runs: readonly PlacedRun[];
  /** The units of the newest. */
  readonly units: number;
  /** Filled with the classes that were split no further. */
  readonly leaves: ComparableRuns[];
}

function classesOf(
  { runs, split }: CalendarTree,
  bounds: ClassBounds,
  descent: Descent,
  learning: Learning,
): ClassNode {
  const own = new ComparableRuns(bounds, () => runsAt(learning.runs, runs), learning.units, descent);
  const isInDoubt = split !== undefined && split.lnOdds <= 0;
  if (descent.share === undefined && (!split || isInDoubt)) learning.leaves.push(own);
  if (!split) return { runs: own };
  const share = isInDoubt ? 1 / (1 + Math.exp(-split.lnOdds)) : undefined;
  const side = (of: CalendarTree, isInner: boolean): ClassNode =>
    classesOf(of, isInDoubt ? bounds : narrowed(bounds, split.by, isInner), { above: own, share }, learning);
  return {
    runs: own,
    split: { by: split.by, within: side(split.within, true), outside: side(split.outside, false) },
  };
}

function runsAt(all: readonly PlacedRun[], places: readonly number[]): PlacedRun[] {
  const runs: PlacedRun[] = [];
  for (const at of places) {
    const run = all[at];
    if (run) runs.push(run);
  }
  return runs;
}

/** What is known of how even counts are comes from all classes, weighed down to some runs; their levels do not. */
function shareSpreads(leaves: readonly ComparableRuns[], units: number): void {
  if (leaves.length < 2) return;
  const spreads = leaves.map((leaf) => leaf.spread(units));
  const runs = spreads.reduce((sum, each) => sum + each.runs, 0);
  const total = K.map((_, at) => spreads.reduce((sum, { lnEvidences }) => sum + (lnEvidences[at] ?? 0), 0));
  leaves.forEach((leaf, index) => {
    const own = spreads[index];
    if (!own || runs <= own.runs) return;
    const share = Math.min(1, RUNS_ELSEWHERE / (runs - own.runs));
    leaf.shareSpread(total.map((each, at) => share * (each - (own.lnEvidences[at] ?? 0))));
  });
}
