/** Runs that are comparable with each other: what they say of the next one. */
import type { CalendarPlace } from './count-calendar.js';
import {
  addCount,
  lnEvidence,
  lnMarginal,
  lnWorkMarginal,
  noSums,
  predictAfter,
  type CountPrediction,
  type Level,
  type Sums,
} from './count-prediction.js';
import { classWords, type ClassBounds } from './count-words.js';
import { robustRoots, workingOf } from './count-tree.js';

/** A past run that teaches. */
export interface TaughtRun {
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
/** Where working runs plan less on average, idle ones are no kind of their own. */
const LEAST_SIZE = 2;

/** What a run is expected to plan by the others of its class, if these are so many times as many. */
export interface Scale {
  readonly times: number;
  /** The chance that any of the work is there. */
  readonly works: number;
}

export class ComparableRuns {
  readonly #from: () => TaughtRun[];
  #taught: TaughtRun[] | undefined;
  readonly #learnedUnits: number;
  readonly #above: ComparableRuns | undefined;
  #weigh: ((count: number) => number) | undefined;
  #idleOften: boolean | undefined;
  #words: string | undefined;
  #summary: Summary | undefined;
  /** ln P(counts | k) of other classes, for each k. */
  #lnElsewhere: readonly number[] | undefined;

  /** Learned for runs of so many units; `above` is the class that this one was split from. */
  constructor(
    readonly bounds: ClassBounds,
    runs: () => TaughtRun[],
    learnedUnits: number,
    above?: ComparableRuns,
  ) {
    this.#from = runs;
    this.#learnedUnits = learnedUnits;
    this.#above = above;
  }

  /** What its runs are called: `runs 09:00–17:00 on Mon–Fri`. */
  get words(): string {
    return (this.#words ??= classWords(this.bounds));
  }

  get runs(): readonly TaughtRun[] {
    return this.#all;
  }

  get #all(): TaughtRun[] {
    return (this.#taught ??= this.#from());
  }

  /** A run that came after the class was learned, and is weighed as it was learned. */
  add(run: TaughtRun): void {
    this.#weigh ??= weighing(this.#all, this.#learnedUnits);
    this.#learnedIdleOften();
    this.#all.push(run);
    if (this.#summary) this.#count(this.#summary, run, 1);
  }

  shareSpread(lnElsewhere: readonly number[]): void {
    this.#lnElsewhere = lnElsewhere;
  }

  /** How much the class's runs say for each k, and how many they are, for a run of so many units. */
  spread(units: number): { readonly lnEvidences: readonly number[]; readonly runs: number } {
    const { all, working } = this.#summaryFor(units);
    const sums = this.#isIdleOften(units) ? working : all;
    return { lnEvidences: lnEvidence(sums), runs: sums.n };
  }

  predict(units: number, level?: Level): CountPrediction {
    const summary = this.#summaryFor(units);
    if (!this.#isIdleOften(units)) return predictAfter(summary.all, null, this.#lnElsewhere, level);
    const works = worksOf(summary);
    return predictAfter(this.#sizesFor(units), works, this.#lnElsewhere, level);
  }

  /** The mean of the class's runs, for a run of so many units. */
  mean(units: number): number {
    const { all } = this.#summaryFor(units);
    return all.n > 0 ? all.s / all.n : 0;
  }

  /** The chance that a run plans anything; 1 where idle runs are no kind of their own. */
  works(units: number): number {
    return this.#isIdleOften(units) ? worksOf(this.#summaryFor(units)) : 1;
  }

  /** What is expected where the work of several runs has gathered. */
  predictScaled(units: number, { times, works }: Scale): CountPrediction {
    const isIdleOften = this.#isIdleOften(units);
    const of = isIdleOften ? this.#withSizes(units) : this;
    const scaled = of.#summed(units, times);
    return isIdleOften
      ? predictAfter(scaled.working, works, this.#lnElsewhere)
      : predictAfter(scaled.all, null, this.#lnElsewhere);
  }

  #isIdleOften(units: number): boolean {
    const { working } = this.#summaryFor(units);
    return this.#learnedIdleOften() && (working.n === 0 || working.s / working.n + 1 >= LEAST_SIZE);
  }

  /** As the counts are, not scaled: one change planned for a few units is not ten for all. */
  #learnedIdleOften(): boolean {
    return (this.#idleOften ??= isIdleOften(this.#summed(undefined, 1)));
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
    for (const run of this.#all) this.#count(summary, run, times);
    return summary;
  }

  #count(summary: Summary, run: TaughtRun, times: number): void {
    const { units = run.units, all, working } = summary;
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
    addCount(all, count, weight);
    addCount(working, Math.max(0, count - 1), weight);
  }
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
function weighing(runs: readonly TaughtRun[], by: number): (count: number) => number {
  const all = new Float64Array(runs.length);
  runs.forEach(({ count, units }, at) => (all[at] = (count * by) / units));
  const counts = workingOf(all);
  const dates = new Set(runs.map(({ place }) => place.date)).size;
  if (counts.length < WEIGHED_FROM || dates < WEIGHED_FROM_DATES) return () => 1;
  const { middle, spread } = robustRoots(counts);
  return (count) => {
    const z = Math.abs(Math.cbrt(count + 0.375) - middle) / spread;
    return z <= 3 ? 1 : z <= 4.5 ? (3 / z) ** 2 : 0;
  };
}
