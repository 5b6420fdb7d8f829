/** Whom runs were for: which of a run's units history knows, and for how many runs' work these have waited. */
import { EVERY_BUCKET, hasBucket, type Buckets } from '../base/bucketing.js';

/** A run, and whose work it did. */
export interface Covering {
  /** When it was, as a date or in milliseconds since 1970. */
  readonly at: Date | number;
  /** The buckets of its units. Undefined where nobody can tell: then those of everybody. */
  readonly covered?: Buckets | undefined;
  /** Those of them that were newcomers then: apart from what the run teaches. */
  readonly newcomers?: Buckets | undefined;
}

/** How far back runs teach: a level of last quarter is no measure of today. */
const TAUGHT_DAYS = 28;
/** Where these days hold fewer runs, so many teach. */
const TAUGHT_RUNS = 100;
const DAY_MS = 86_400_000;

/** Of ten waits for a run nine are usual: a job of every working day waits three days for one run of five. */
const USUAL_SHARE = 0.9;

/** Whom so many runs have served is known: what one run finds may be the next one's work, and the one after's. */
const SERVED_RUNS = 3;
/** In so many times the time that it took those who were served most often. */
const SERVED_WITHIN = 4;

/** The runs of `history` that teach about one at `now`: of the four weeks before, or the latest hundred. Oldest first. */
export function teaching<Run extends Covering>(history: readonly Run[], now: Covering): Run[] {
  const before = history
    .filter(({ at }) => Number(at) < Number(now.at))
    .sort((a, b) => Number(a.at) - Number(b.at));
  const since = Number(now.at) - TAUGHT_DAYS * DAY_MS;
  return before.filter(({ at }, index) => Number(at) >= since || index >= before.length - TAUGHT_RUNS);
}

/**
 * The buckets of a run at `now` that history does not know. Known is whom three of the runs that teach have
 * served, and not much more slowly than those of the run's units that were served most often. It goes by
 * buckets, never by what a job says of its units: a unit made since has a bucket that others were served in.
 */
export function newcomersAmong(history: readonly Covering[], now: Covering): Buckets {
  if (now.covered === undefined) return [];
  const { covered } = now;
  const past = teaching(history, now);
  const parts = partsOf([...past, now]).filter(([, upTo]) => hasBucket(covered, upTo));
  const served = parts.map(([, upTo]) => {
    const own = past.filter((run) => coversBucket(run, upTo));
    return Number(now.at) - Number(own.at(-SERVED_RUNS)?.at ?? -Infinity);
  });
  const usual = SERVED_RUNS * usualWait(timesOf([...past, now]));
  const quickest = Math.max(usual, Math.min(...served.filter(Number.isFinite)));
  const tooLong = (waited: number): boolean => waited === Infinity || waited > SERVED_WITHIN * quickest;
  return joined(parts.filter((_, index) => tooLong(served[index] ?? Infinity)));
}

/**
 * How many runs' work had gathered for each of `runs`, the oldest first: what its units had waited for over what
 * runs usually wait for. A job finds what there is to do, so that the first run after an outage finds what all
 * those that were missed would have found. Two runs of one slot, of two versions, have waited for the same.
 */
export function gatheredFor(runs: readonly Covering[]): number[] {
  const usual = usualWait(timesOf(runs));
  const waits = runs.map(() => ({ buckets: 0, gathered: 0 }));
  for (const [after, upTo] of partsOf(runs)) {
    const serving = runs.flatMap((run, index) => (coversBucket(run, upTo) ? [index] : []));
    const gathered = gatheredAt(timesOf(serving.flatMap((index) => runs[index] ?? [])), usual);
    serving.forEach((index, at) => {
      const wait = waits[index];
      if (!wait || hasBucket(runs[index]?.newcomers ?? [], upTo)) return;
      wait.buckets += upTo - after;
      wait.gathered += (upTo - after) * (gathered[at] ?? 1);
    });
  }
  return waits.map(({ buckets, gathered }) => (buckets > 0 ? gathered / buckets : 1));
}

/** The same for units that were all served at `times`. */
function gatheredAt(times: readonly number[], usual: number): number[] {
  let slotBefore = 0;
  return times.map((at, index) => {
    while (slotBefore + 1 < index && (times[slotBefore + 1] ?? at) <= at - usual / 2) slotBefore += 1;
    const waited = at - (times[slotBefore] ?? at);
    return index === 0 || usual === 0 ? 1 : Math.max(1, Math.round(waited / usual));
  });
}

/** What runs at `times` usually waited for; 0 where there are too few to say. */
function usualWait(times: readonly number[]): number {
  const between = times.slice(1).map((at, index) => at - (times[index] ?? at));
  // All but the last: whether that one waited is the question. Seldom longer: a job of working days waits often.
  const sorted = between.slice(0, -1).sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(USUAL_SHARE * sorted.length) - 1)] ?? 0;
}

/** The buckets cut so that each run serves all of a part or nothing of it. */
function partsOf(runs: readonly Covering[]): Buckets {
  const edges = new Set(EVERY_BUCKET.flat());
  for (const { covered = [], newcomers = [] } of runs) {
    for (const edge of [...covered, ...newcomers].flat()) edges.add(edge);
  }
  const sorted = [...edges].sort((a, b) => a - b);
  return sorted.slice(1).map((upTo, index) => [sorted[index] ?? 0, upTo]);
}

function coversBucket({ covered = EVERY_BUCKET }: Covering, bucket: number): boolean {
  return hasBucket(covered, bucket);
}

function joined(parts: Buckets): Buckets {
  const whole: (readonly [number, number])[] = [];
  for (const [after, upTo] of parts) {
    const last = whole.at(-1);
    if (last?.[1] === after) whole[whole.length - 1] = [last[0], upTo];
    else whole.push([after, upTo]);
  }
  return whole;
}

function timesOf(runs: readonly Covering[]): number[] {
  return runs.map(({ at }) => Number(at));
}
