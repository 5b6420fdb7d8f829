/** Runs that are comparable with each other: what they say of the next one. */
import type { CalendarPlace } from './count-calendar.js';
import {
  addCount,
  lnEvidence,
  lnMarginal,
  lnWorkMarginal,
  mixed,
  noSums,
  predictAfter,
  unlikelyFrom,
  type CountPrediction,
  type Level,
  type Sums,
} from './count-prediction.js';
import { classWords, type ClassBounds } from './count-words.js';
import { robustRoots, workingOf } from './robust-roots.js';

/** A past run of the baseline. */
export interface BaselineRun {
  readonly place: CalendarPlace;
  readonly count: number;
  readonly units: number;
  /** Accepted by a person after an alarm: it weighs as much as any other. */
  readonly accepted?: boolean | undefined;
}

/** What a class's runs come to for a run of so many units. */
interface Summary {
  readonly units: number | undefined;
  readonly all: Sums;
  /** Of the runs that planned anything, beyond one each. */
  readonly working: Sums;
  idle: number;
}

const WEIGHED_FROM = 12;
/** Sooner hours that differ cannot be told apart, and the fewer ones are no spikes. */
const WEIGHED_FROM_DATES = 4;
/** With fewer runs that work, nothing is known of sizes. */
const SIZES_FROM = 3;
/** What is learned of a spread elsewhere is worth so many runs. */
export const RUNS_ELSEWHERE = 10;
/** Where working runs plan less on average, idle ones are no kind of their own. */
const LEAST_SIZE = 2;
/** How far beyond the limit a healthy run is on average that was stopped for it. */
const BEYOND_LIMIT = 1.15;

/** What a run is expected to plan by the others of its class, if these are so many times as many. */
export interface Scale {
  readonly times: number;
  /** The chance that any of the work is there. */
  readonly works: number;
}

/** How much runs say for each k, and how many they are. */
export interface Spread {
  readonly lnEvidences: readonly number[];
  readonly runs: number;
}

/** How a class came about. */
export interface Descent {
  /** The class that it was split from. */
  readonly above?: ComparableRuns | undefined;
  /**
   * The chance that it differs from the rest of the class above, where that is in doubt. Such a class stands for all
   * runs of the one above, and only its prediction leans to its own.
   */
  readonly share?: number | undefined;
}

export class ComparableRuns {
  readonly #from: () => BaselineRun[];
  #own: BaselineRun[] | undefined;
  readonly #learnedUnits: number;
  readonly #above: ComparableRuns | undefined;
  /** The class above, while it is in doubt whether this one differs from it. */
  readonly #whole: ComparableRuns | undefined;
  readonly #share: number;
  #weigh: ((count: number) => number) | undefined;
  #idleOften: boolean | undefined;
  #words: string | undefined;
  #summary: Summary | undefined;
  #spread: Spread | undefined;
  /** ln P(counts | k) of other classes, for each k. */
  #lnElsewhere: readonly number[] | undefined;

  /** Learned for runs of so many units. */
  constructor(
    readonly bounds: ClassBounds,
    runs: () => BaselineRun[],
    learnedUnits: number,
    { above, share }: Descent = {},
  ) {
    this.#from = runs;
    this.#learnedUnits = learnedUnits;
    this.#above = above;
    this.#whole = share === undefined ? undefined : above;
    this.#share = share ?? 1;
  }

  /** What its runs are called: `runs 09:00–17:00 on Mon–Fri`. */
  get words(): string {
    return (this.#words ??= this.#whole?.words ?? classWords(this.bounds));
  }

  get runs(): readonly BaselineRun[] {
    return this.#whole?.runs ?? this.#all;
  }

  get #all(): BaselineRun[] {
    return (this.#own ??= this.#from());
  }

  /** A run that came after the class was learned, and is weighed as it was learned. */
  add(run: BaselineRun): void {
    if (this.#whole) {
      this.#elsewhere();
      this.#whole.add(run);
    }
    this.#learnedSpread();
    this.#weigh ??= weighing(this.#all, this.#learnedUnits);
    this.#learnedIdleOften();
    this.#all.push(run);
    if (this.#summary) this.#count(this.#summary, run, 1);
  }

  shareSpread(lnElsewhere: readonly number[]): void {
    this.#lnElsewhere = lnElsewhere;
  }

  /** How much the class's runs say for each k, and how many they are, for a run of so many units. */
  spread(units: number): Spread {
    if (this.#whole) return this.#whole.spread(units);
    return this.#ownSpread(units);
  }

  #ownSpread(units: number): Spread {
    const { all, working } = this.#summaryFor(units);
    const sums = this.#isIdleOften(units) ? working : all;
    return { lnEvidences: lnEvidence(sums), runs: sums.n };
  }

  /** The same of what was learned, before any run came after. */
  #learnedSpread(): Spread {
    return (this.#spread ??= this.#ownSpread(this.#learnedUnits));
  }

  predict(units: number, level?: Level): CountPrediction {
    const own = this.#predictOwn(units, level);
    return this.#whole ? mixed(this.#whole.predict(units, level), own, this.#share) : own;
  }

  #predictOwn(units: number, level?: Level): CountPrediction {
    const summary = this.#summaryFor(units);
    const lnElsewhere = this.#elsewhere();
    if (!this.#isIdleOften(units)) return predictAfter(summary.all, null, lnElsewhere, level);
    return predictAfter(this.#sizesFor(units), worksOf(summary), lnElsewhere, level);
  }

  /** What the whole says of its spread where it is in doubt that it differs, as other classes say of theirs. */
  #elsewhere(): readonly number[] | undefined {
    if (!this.#whole || this.#lnElsewhere) return this.#lnElsewhere;
    const [whole, own] = [this.#whole.#learnedSpread(), this.#learnedSpread()];
    const share = Math.min(1, RUNS_ELSEWHERE / Math.max(1, whole.runs - own.runs));
    const beyond = this.#whole.#lnElsewhere;
    this.#lnElsewhere = whole.lnEvidences.map(
      (each, at) => share * (each - (own.lnEvidences[at] ?? 0)) + (beyond?.[at] ?? 0),
    );
    return this.#lnElsewhere;
  }

  /**
   * What is predicted if as many of the class's runs are missing as healthy ones are stopped, and each had been at the
   * limit. Undefined where idle runs are no kind of their own: then so few are missing that it makes no difference.
   */
  predictWithStopped(units: number, alpha: number): CountPrediction | undefined {
    if (this.#whole) return this.#whole.predictWithStopped(units, alpha);
    if (!this.#isIdleOften(units)) return undefined;
    const of = this.#withSizes(units);
    const sums = of.#summaryFor(units).working;
    const limit = unlikelyFrom(this.predict(units), alpha);
    if (sums.n < SIZES_FROM || !Number.isFinite(limit)) return undefined;
    const withStopped = { ...sums, lnShapes: [...sums.lnShapes] };
    addCount(withStopped, Math.round(BEYOND_LIMIT * limit), alpha * of.runs.length);
    return predictAfter(withStopped, worksOf(this.#summaryFor(units)), this.#lnElsewhere);
  }

  /** The mean of the class's runs, for a run of so many units. */
  mean(units: number): number {
    if (this.#whole) return this.#whole.mean(units);
    const { all } = this.#summaryFor(units);
    return all.n > 0 ? all.s / all.n : 0;
  }

  /** The chance that a run plans anything; 1 where idle runs are no kind of their own. */
  works(units: number): number {
    if (this.#whole) return this.#whole.works(units);
    return this.#isIdleOften(units) ? worksOf(this.#summaryFor(units)) : 1;
  }

  /** What is expected where the work of several runs has gathered. */
  predictScaled(units: number, { times, works }: Scale): CountPrediction {
    if (this.#whole) return this.#whole.predictScaled(units, { times, works });
    const isIdleOften = this.#isIdleOften(units);
    const of = isIdleOften ? this.#withSizes(units) : this;
    const scaled = of.#summed(units, times);
    return isIdleOften
      ? predictAfter(scaled.working, works, this.#lnElsewhere)
      : predictAfter(scaled.all, null, this.#lnElsewhere);
  }

  #isIdleOften(units: number): boolean {
    if (this.#whole) return this.#whole.#isIdleOften(units);
    const { working } = this.#summaryFor(units);
    return this.#learnedIdleOften() && (working.n === 0 || working.s / working.n + 1 >= LEAST_SIZE);
  }

  /** As the counts are, not scaled: one change planned for a few units is not ten for all. */
  #learnedIdleOften(): boolean {
    if (this.#idleOften !== undefined) return this.#idleOften;
    const by = this.#learnedUnits;
    const isUnscaled = this.#all.every(({ units }) => units === by);
    this.#idleOften = isIdleOften(isUnscaled ? this.#summaryFor(by) : this.#summed(undefined, 1));
    return this.#idleOften;
  }

  #sizesFor(units: number): Sums {
    return this.#withSizes(units).#summaryFor(units).working;
  }

  /** The class itself, or the nearest that it was split from where so many runs work. */
  #withSizes(units: number): ComparableRuns {
    const isKnown = this.#summaryFor(units).working.n >= SIZES_FROM;
    return isKnown || !this.#above ? this : this.#above.#withSizes(units);
  }

  #summaryFor(units: number): Summary {
    if (this.#summary?.units !== units) this.#summary = this.#summed(units, 1);
    return this.#summary;
  }

  /** Scaled to so many units; undefined: each for its own. */
  #summed(units: number | undefined, times: number): Summary {
    const summary: Summary = { units, all: noSums(), working: noSums(), idle: 0 };
    const isAsItIs = units === this.#learnedUnits && times === 1;
    const runs = this.#all;
    often.fill(0);
    for (let at = 0; at < runs.length; at += 1) {
      const run = runs[at];
      if (!run) continue;
      // Most runs plan one of a few small counts for as many units: these are added up at once.
      const seen = often[run.count];
      if (isAsItIs && seen !== undefined && run.units === units && run.accepted !== true)
        often[run.count] = seen + 1;
      else this.#count(summary, run, times);
    }
    if (!isAsItIs) return summary;
    const idle = often[0] ?? 0;
    summary.all.n += idle;
    summary.idle += idle;
    const weigh = (this.#weigh ??= weighing(runs, this.#learnedUnits));
    for (let count = 1; count < SMALL; count += 1) {
      const runs = often[count] ?? 0;
      if (runs > 0) addWork(summary, count, runs * weigh(count));
    }
    return summary;
  }

  #count(summary: Summary, run: BaselineRun, times: number): void {
    const { units = run.units, all } = summary;
    const size = Math.min(1, run.units / units);
    const count = ((run.count * units) / run.units) * times;
    if (count === 0) {
      all.n += size;
      summary.idle += size;
      return;
    }
    this.#weigh ??= weighing(this.#all, this.#learnedUnits);
    const weight =
      run.accepted === true ? size : size * this.#weigh((run.count * this.#learnedUnits) / run.units);
    addWork(summary, count, weight);
  }
}

/** Counts below are added up by how often each is there. */
const SMALL = 1_024;
/** Filled again for each sum. */
const often = new Uint32Array(SMALL);

function addWork({ all, working }: Summary, count: number, weight: number): void {
  addCount(all, count, weight);
  addCount(working, Math.max(0, count - 1), weight);
}

/** Two tellings of the same runs, and the likelier one: counts of one kind, or idle runs and sizes. */
function isIdleOften({ all, working, idle }: Summary): boolean {
  if (working.n === 0) return true;
  if (working.s / working.n + 1 < LEAST_SIZE) return false;
  const lnIdleOften = lnWorkMarginal(working.n, idle) + lnMarginal(lnEvidence(working));
  return lnIdleOften > lnMarginal(lnEvidence(all));
}

function worksOf({ working, idle }: Summary): number {
  return (working.n + 0.5) / (working.n + idle + 1);
}

/**
 * Weighs counts by the distance from the median in cube roots: 1 up to three spreads, falling to nothing at four
 * and a half. The median is that of the runs that work: over all, a majority of idle runs would leave work no weight.
 */
function weighing(runs: readonly BaselineRun[], by: number): (count: number) => number {
  const all = new Float64Array(runs.length);
  runs.forEach(({ count, units }, at) => (all[at] = (count * by) / units));
  const counts = workingOf(all);
  if (counts.length < WEIGHED_FROM || !isOfDates(runs, WEIGHED_FROM_DATES)) return () => 1;
  const { middle, spread } = robustRoots(counts);
  return (count) => {
    const z = Math.abs(Math.cbrt(count + 0.375) - middle) / spread;
    return z <= 3 ? 1 : z <= 4.5 ? (3 / z) ** 2 : 0;
  };
}

function isOfDates(runs: readonly BaselineRun[], dates: number): boolean {
  const seen = new Set<number>();
  return runs.some(({ place }) => seen.add(place.date).size >= dates);
}
