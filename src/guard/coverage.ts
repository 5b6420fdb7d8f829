/** Whom runs were for: which of a run's units history knows, and for how many runs' work these have waited. */
import { EVERY_BUCKET, hasBucket, type Buckets } from '../kernel/bucketing.js';

/** A run, and whose work it did. */
export interface Covering {
  /** When it was, as a date or in milliseconds since 1970. */
  readonly at: Date | number;
  /** The buckets of its units. Undefined where nobody can tell: then those of everybody. */
  readonly covered?: Buckets | undefined;
  /** Those of them that were newly admitted then: no part of the baseline. */
  readonly newcomers?: Buckets | undefined;
}

/** How far back the baseline goes: a level of last quarter is no measure of today. */
export const BASELINE_MS = 28 * 86_400_000;
/** Where these days hold fewer runs, so many are taken. */
export const BASELINE_RUNS = 100;
/** However few runs work, no more are looked at. */
export const MOST_BASELINE_RUNS = 7_800;

/** Runs on a month's special days are kept for so long: such a day comes once a month. */
export const SPECIAL_DAYS_MS = 400 * 86_400_000;
/** However many of them there are, no more are looked at. */
export const MOST_OLDER_RUNS = 2_000;

/** Of ten waits for a run nine are usual: a job of every working day waits three days for one run of five. */
const USUAL_SHARE = 0.9;

/** Whom so many runs have served is known: what one run finds may be the next one's work, and the one after's. */
const SERVED_RUNS = 3;
/** In so many times the time that it took those who were served most often. */
const SERVED_WITHIN = 4;

/** The runs of `history` that are the baseline of one at `now`: of the four weeks before, or the latest hundred. Oldest first. */
function baselineOf<Run extends Covering>(history: readonly Run[], now: Covering): Run[] {
  const before = history
    .filter(({ at }) => Number(at) < Number(now.at))
    .sort((a, b) => Number(a.at) - Number(b.at));
  const since = Number(now.at) - BASELINE_MS;
  return before.filter(({ at }, index) => Number(at) >= since || index >= before.length - BASELINE_RUNS);
}

/**
 * The buckets of a run at `now` that history does not know. Known is whom three runs of the baseline have
 * served, and not much more slowly than those of the run's units that were served most often. It goes by
 * buckets, never by what a job says of its units: a unit made since has a bucket that others were served in.
 */
export function newlyAdmittedAmong(history: readonly Covering[], now: Covering): Buckets {
  if (now.covered === undefined) return [];
  const { covered } = now;
  const past = baselineOf(history, now);
  const parts = partsOf([...past, now]).filter(([, upTo]) => hasBucket(covered, upTo));
  const served = parts.map(([, upTo]) => {
    const own = past.filter((run) => coversBucket(run, upTo));
    return Number(now.at) - Number(own.at(-SERVED_RUNS)?.at ?? -Infinity);
  });
  const usual = SERVED_RUNS * usualWait(past);
  const quickest = Math.max(usual, Math.min(...served.filter(Number.isFinite)));
  const tooLong = (waited: number): boolean => waited === Infinity || waited > SERVED_WITHIN * quickest;
  return joined(parts.filter((_, index) => tooLong(served[index] ?? Infinity)));
}

/**
 * How many runs' work had gathered for a run: what its units had waited for over what runs usually wait for. A job
 * finds what there is to do, so that the first run after an outage finds what all those that were missed would have
 * found. Each unit has waited since a run last served it. Two runs of one slot, of two versions, have waited for the
 * same. `runs` are in order, and the first `before` of them came before it.
 */
export function waitedFor(runs: readonly Covering[], before: number, now: Covering, usualMs: number): number {
  if (usualMs === 0) return 1;
  const { at: last, covered: lastCovered } = runs[before - 1] ?? {};
  // Nearly always the run before has served everybody, a usual wait ago.
  if (now.covered === undefined && lastCovered === undefined && before > 0) {
    const waited = Number(now.at) - Number(last);
    if (waited >= usualMs / 2 && waited < 1.5 * usualMs) return 1;
  }
  const newcomers = now.newcomers ?? [];
  let waiting: Buckets = (now.covered ?? EVERY_BUCKET).flatMap((span) => without([span], newcomers));
  const all = widthOf(waiting);
  let gathered = 0;
  for (let index = before - 1; index >= 0 && waiting.length > 0; index -= 1) {
    const run = runs[index];
    const waited = Number(now.at) - Number(run?.at);
    if (!run || waited < usualMs / 2) continue;
    const left = without(waiting, run.covered ?? EVERY_BUCKET);
    gathered += (widthOf(waiting) - widthOf(left)) * Math.max(1, Math.round(waited / usualMs));
    waiting = left;
  }
  return all === 0 ? 1 : (gathered + widthOf(waiting)) / all;
}

/**
 * What runs, in order, usually wait for, from one place up to another; 0 where there are too few to say. Seldom
 * longer: a job of working days waits often.
 */
export function usualWait(runs: readonly Covering[], from = 0, to = runs.length): number {
  if (to - from < 2) return 0;
  const between = new Float64Array(to - from - 1);
  for (let at = 0; at < between.length; at += 1)
    between[at] = Number(runs[from + at + 1]?.at) - Number(runs[from + at]?.at);
  between.sort();
  return between[Math.max(0, Math.ceil(USUAL_SHARE * between.length) - 1)] ?? 0;
}

/** The parts of spans that are in none of others. */
function without(spans: Buckets, others: Buckets): Buckets {
  return others.reduce<Buckets>(
    (left, [after, upTo]) =>
      left.flatMap(([from, to]): Buckets => {
        const parts: Buckets = [
          [from, Math.min(to, after)],
          [Math.max(from, upTo), to],
        ];
        return parts.filter(([one, other]) => other > one);
      }),
    spans,
  );
}

function widthOf(spans: Buckets): number {
  return spans.reduce((sum, [after, upTo]) => sum + upTo - after, 0);
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
