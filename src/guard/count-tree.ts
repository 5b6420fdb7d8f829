/**
 * Which runs are comparable: a tree of splits of the calendar, learned from past counts (docs/reference/guard.md).
 * Each split must pay for itself: a job whose counts do not differ by hour or day keeps all its runs together.
 */
import { addCount, K, noSums } from './count-prediction.js';
import { MONTH_DAYS, SLOTS, type PlaceColumns } from './count-calendar.js';
import { innerOf, type IsInner, type Split } from './count-split.js';
import { robustRoots, workingOf } from './robust-roots.js';

const { log, min, max } = Math;

/** A class of comparable runs, or a split into two. */
export interface CalendarTree {
  /** The runs of the node, as indices of what the tree was learned from. */
  readonly runs: readonly number[];
  readonly split?: {
    readonly by: Split;
    /** The logarithm of the odds that the sides differ. At 0 or below the split is in doubt, and goes no deeper. */
    readonly lnOdds: number;
    readonly within: CalendarTree;
    readonly outside: CalendarTree;
  };
}

const FEWEST_RUNS = 3;
const FEWEST_DATES = 3;
const CLIPPED_FROM = 12;
const KNOTS = 24;
/** A split with lower odds than this changes no prediction that matters. */
const LEAST_LN_ODDS = -6;

/** Past runs, as splits are learned from them: when each was, and what it planned for equally many units. Oldest first. */
export interface PlacedCounts {
  readonly places: PlaceColumns;
  readonly counts: Float64Array;
  /**
   * So many of the first are older than the baseline. They were on special days of a month, and are part of the class
   * of such days where these differ from others, and of no other class.
   */
  readonly older: number;
}

/** Learns the splits of the calendar that explain counts better than they cost. Pure. */
export function learnTree(past: PlacedCounts): CalendarTree {
  const [older, runs]: [number[], number[]] = [[], []];
  for (let at = 0; at < past.counts.length; at += 1) (at < past.older ? older : runs).push(at);
  return grown(past, runs, older);
}

function grown(past: PlacedCounts, runs: readonly number[], older: readonly number[]): CalendarTree {
  const { split, excess } = bestSplit(past, runs, older);
  if (!split) return { runs };
  const isInner = innerOf(past.places, split);
  const [within, outside] = parted(runs, isInner);
  if (excess <= 0)
    return {
      runs,
      split: { by: split, lnOdds: excess, within: { runs: within }, outside: { runs: outside } },
    };
  const [olderWithin, olderOutside] = parted(older, isInner);
  const inner =
    split.by === 'month' ? grown(past, [...olderWithin, ...within], []) : grown(past, within, olderWithin);
  return {
    runs,
    split: { by: split, lnOdds: excess, within: inner, outside: grown(past, outside, olderOutside) },
  };
}

/** Those within and those outside, in order. */
function parted(runs: readonly number[], isInner: IsInner): readonly [number[], number[]] {
  const [within, outside]: [number[], number[]] = [[], []];
  for (let at = 0; at < runs.length; at += 1) {
    const run = runs[at] ?? 0;
    (isInner(run) ? within : outside).push(run);
  }
  return [within, outside];
}

/** Idle runs, working runs, and the sum of what these planned beyond one each. */
interface Side {
  idle: number;
  working: number;
  sum: number;
}

/** A node, as its splits are tried. */
interface Node {
  readonly past: PlacedCounts;
  readonly runs: readonly number[];
  /** Older runs at the same times. */
  readonly older: readonly number[];
  /** Of each run its clipped count beyond one, or −1 for an idle run. */
  readonly sizes: Float64Array;
  readonly clip: number;
  readonly k: number;
  readonly whole: Side;
  readonly lnWhole: number;
  /** What a split's gain must exceed, but for the number of splits tried. */
  readonly lnRuns: number;
}

interface Found {
  split: Split | undefined;
  excess: number;
}

function bestSplit(past: PlacedCounts, runs: readonly number[], older: readonly number[]): Found {
  const found: Found = { split: undefined, excess: LEAST_LN_ODDS };
  if (runs.length < 2 * FEWEST_RUNS) return found;
  const node = nodeOf(past, runs, older);
  tryClock(node, found);
  tryWeekdays(node, found);
  tryMonth(node, found);
  return found;
}

let room = new Float64Array();

function nodeOf(past: PlacedCounts, runs: readonly number[], older: readonly number[]): Node {
  // A node's sizes are not needed once its split is found: to make room for each again costs more than to fill it.
  if (room.length < runs.length) room = new Float64Array(2 * runs.length);
  const sizes = room.subarray(0, runs.length);
  for (let at = 0; at < runs.length; at += 1) sizes[at] = past.counts[runs[at] ?? 0] ?? 0;
  const clip = clipOf(sizes);
  const whole: Side = { idle: 0, working: 0, sum: 0 };
  for (let at = 0; at < sizes.length; at += 1) {
    const size = sizeOf(sizes[at] ?? 0, clip);
    sizes[at] = size;
    addSize(whole, size);
  }
  const k = bestK(sizes, whole);
  const lnWhole = likelihood(whole.idle, whole.working, whole.sum, k);
  return { past, runs, older, sizes, clip, k, whole, lnWhole, lnRuns: log(runs.length) };
}

function sizeOf(count: number, clip: number): number {
  return count > 0 ? max(0, min(count, clip) - 1) : -1;
}

function addSize(side: Side, size: number): void {
  if (size < 0) side.idle += 1;
  else {
    side.working += 1;
    side.sum += size;
  }
}

/** The largest count that is taken as it is: a spike must make no class of its own. */
function clipOf(counts: Float64Array): number {
  const working = workingOf(counts);
  if (working.length < CLIPPED_FROM) return Infinity;
  const { middle, spread } = robustRoots(working);
  return (middle + 3 * spread) ** 3;
}

function bestK(sizes: Float64Array, { working, sum }: Side): number {
  const times = new Map<number, number>();
  often.fill(0);
  for (let at = 0; at < sizes.length; at += 1) {
    const size = sizes[at] ?? 0;
    if (size > 0 && size < SMALL && Number.isInteger(size)) often[size] = (often[size] ?? 0) + 1;
    else if (size > 0) times.set(size, (times.get(size) ?? 0) + 1);
  }
  const shapes = noSums();
  often.forEach((each, size) => addCount(shapes, size, each));
  for (const [size, each] of times) addCount(shapes, size, each);
  let [best, greatest] = [1, -Infinity];
  K.forEach((k, at) => {
    const ln = levelLikelihood(working, sum, k) + (shapes.lnShapes[at] ?? 0);
    if (ln > greatest) [best, greatest] = [k, ln];
  });
  return best;
}

/** Sizes below are counted in an array. */
const SMALL = 512;
const often = new Uint32Array(SMALL);

/** What depends on the level of the likelihood of sizes, at the level that fits them best. */
function levelLikelihood(n: number, sum: number, k: number): number {
  const successes = k * n;
  if (n === 0) return 0;
  const lnIdle = successes * log(successes / (sum + successes));
  return sum > 0 ? sum * log(sum / (sum + successes)) + lnIdle : lnIdle;
}

function likelihood(idle: number, working: number, sum: number, k: number): number {
  const n = idle + working;
  const bernoulli = (working > 0 ? working * log(working / n) : 0) + (idle > 0 ? idle * log(idle / n) : 0);
  return bernoulli + levelLikelihood(working, sum, k);
}

/** The gain of a split over what it must exceed; −∞ where a side has too few runs. */
function excessOf(node: Node, { idle, working, sum }: Side, lnTried: number): number {
  const { whole, k, lnWhole, lnRuns } = node;
  const inner = idle + working;
  if (inner < FEWEST_RUNS || whole.idle + whole.working - inner < FEWEST_RUNS) return -Infinity;
  const gain =
    likelihood(idle, working, sum, k) +
    likelihood(whole.idle - idle, whole.working - working, whole.sum - sum, k) -
    lnWhole;
  return gain - lnRuns - lnTried;
}

/** Takes a split that is better than the best before it, where both sides have dates enough. */
function consider(node: Node, found: Found, split: Split, inner: Side, lnTried: number): void {
  const excess = excessOf(node, inner, lnTried);
  if (!(excess > found.excess) || !hasDatesEnough(node, split)) return;
  found.split = split;
  found.excess = excess;
}

/** Runs come in the order of their dates, or nearly so: a date is not counted again while it lasts. */
function hasDatesEnough({ past, runs }: Node, split: Split): boolean {
  const isInner = innerOf(past.places, split);
  const { dates } = past.places;
  let [within, outside, lastWithin, lastOutside] = [0, 0, NaN, NaN];
  for (let at = 0; at < runs.length; at += 1) {
    const run = runs[at] ?? 0;
    const date = dates[run] ?? 0;
    if (isInner(run)) {
      if (date !== lastWithin) within += 1;
      lastWithin = date;
    } else {
      if (date !== lastOutside) outside += 1;
      lastOutside = date;
    }
    if (within >= FEWEST_DATES && outside >= FEWEST_DATES) return true;
  }
  return false;
}

/** Filled again for each node. */
const clock = {
  idle: new Float64Array(2 * SLOTS + 1),
  working: new Float64Array(2 * SLOTS + 1),
  sum: new Float64Array(2 * SLOTS + 1),
  present: new Uint8Array(SLOTS),
};

/** Arcs of the clock between the quarters at which runs come, coarse first and then by quarters. */
function tryClock(node: Node, found: Found): void {
  // What comes before each quarter; two rounds, so that an arc over midnight is one difference.
  const rounds = 2 * SLOTS + 1;
  const { idle, working, sum, present } = clock;
  for (const each of [idle, working, sum, present]) each.fill(0);
  const { runs, sizes, past } = node;
  for (let index = 0; index < runs.length; index += 1) {
    const slot = past.places.slots[runs[index] ?? 0] ?? 0;
    present[slot] = 1;
    const size = sizes[index] ?? 0;
    const at = slot + 1;
    if (size < 0) idle[at] = (idle[at] ?? 0) + 1;
    else {
      working[at] = (working[at] ?? 0) + 1;
      sum[at] = (sum[at] ?? 0) + size;
    }
  }
  for (const each of [idle, working, sum]) {
    each.copyWithin(SLOTS + 1, 1, SLOTS + 1);
    for (let at = 1; at < rounds; at += 1) each[at] = (each[at] ?? 0) + (each[at - 1] ?? 0);
  }
  const slots = Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) => present[slot] === 1);
  if (slots.length < 2) return;
  const lnTried = log((slots.length * (slots.length - 1)) / 2);
  const inner: Side = { idle: 0, working: 0, sum: 0 };
  const attempt = (from: number, to: number): void => {
    if (from === to) return;
    const end = to > from ? to : to + SLOTS;
    inner.idle = (idle[end] ?? 0) - (idle[from] ?? 0);
    inner.working = (working[end] ?? 0) - (working[from] ?? 0);
    inner.sum = (sum[end] ?? 0) - (sum[from] ?? 0);
    if (excessOf(node, inner, lnTried) > found.excess)
      consider(node, found, { by: 'clock', from, to }, inner, lnTried);
  };
  const step = max(1, slots.length / KNOTS);
  const knots: number[] = [];
  for (let at = 0; at < slots.length; at += step) knots.push(slots[Math.floor(at)] ?? 0);
  knots.forEach((from, index) => {
    for (const to of knots.slice(index + 1)) attempt(from, to);
  });
  refine(slots, Math.ceil(step), found, attempt);
}

/** Moves the ends of the best arc by single quarters while that is better. */
function refine(
  slots: readonly number[],
  reach: number,
  found: Found,
  attempt: (from: number, to: number) => void,
): void {
  if (reach === 1) return;
  for (;;) {
    const { split, excess } = found;
    if (split?.by !== 'clock') return;
    for (const end of ['from', 'to'] as const) {
      const at = slots.indexOf(split[end]);
      for (let move = -reach; move <= reach; move += 1) {
        const moved = slots[(at + move + slots.length) % slots.length] ?? 0;
        attempt(end === 'from' ? moved : split.from, end === 'to' ? moved : split.to);
      }
    }
    if (!(found.excess > excess)) return;
  }
}

function tryWeekdays(node: Node, found: Found): void {
  const days = Array.from({ length: 7 }, (): Side => ({ idle: 0, working: 0, sum: 0 }));
  const { runs, sizes, past } = node;
  for (let at = 0; at < runs.length; at += 1) {
    const side = days[past.places.weekdays[runs[at] ?? 0] ?? 0];
    if (side) addSize(side, sizes[at] ?? 0);
  }
  const present = days
    .map((side, day) => ({ side, day, runs: side.idle + side.working }))
    .filter(({ runs }) => runs > 0)
    .map(({ side, day, runs }) => ({ side, day, mean: (side.sum + side.working) / runs }))
    .sort((one, other) => one.mean - other.mean || one.day - other.day);
  if (present.length < 2) return;
  const lnTried = log(2 ** (present.length - 1) - 1);
  const inner: Side = { idle: 0, working: 0, sum: 0 };
  let bits = 0;
  for (const { side, day } of present.slice(0, -1)) {
    inner.idle += side.idle;
    inner.working += side.working;
    inner.sum += side.sum;
    bits |= 1 << day;
    consider(node, found, { by: 'weekday', days: bits }, inner, lnTried);
  }
}

function tryMonth(node: Node, found: Found): void {
  const { past, runs, sizes, older, clip } = node;
  const sides = noSides();
  for (let at = 0; at < runs.length; at += 1) {
    const month = past.places.months[runs[at] ?? 0] ?? 0;
    if (month !== 0) addToDays(sides, month, sizes[at] ?? 0);
  }
  const lnTried = log(MONTH_DAYS.length);
  sides.forEach((side, bit) => consider(node, found, { by: 'month', bit }, side, lnTried));
  if (older.length === 0) return;
  const olderSides = noSides();
  for (let at = 0; at < older.length; at += 1) {
    const run = older[at] ?? 0;
    addToDays(olderSides, past.places.months[run] ?? 0, sizeOf(past.counts[run] ?? 0, clip));
  }
  sides.forEach((side, bit) => {
    const extra = olderSides[bit];
    if (extra && extra.idle + extra.working > 0) considerOlder(node, found, bit, side, extra);
  });
}

function noSides(): Side[] {
  return MONTH_DAYS.map(() => ({ idle: 0, working: 0, sum: 0 }));
}

/** Adds a run to the sides of the month's days that it was on. */
function addToDays(sides: readonly Side[], month: number, size: number): void {
  for (let bit = 0; bit < sides.length; bit += 1) {
    const side = sides[bit];
    if (side && (month & (1 << bit)) !== 0) addSize(side, size);
  }
}

/** The same split together with older runs of such days, which count only where it pays for itself. */
function considerOlder(node: Node, found: Found, bit: number, side: Side, extra: Side): void {
  const { whole, k, runs, older, past } = node;
  const all = sumOf(whole, extra);
  const inner = sumOf(side, extra);
  const split: Split = { by: 'month', bit };
  const lnTried = log(MONTH_DAYS.length);
  const more = {
    ...{ whole: all, lnWhole: likelihood(all.idle, all.working, all.sum, k) },
    lnRuns: log(all.idle + all.working),
  };
  if (!(excessOf({ ...node, ...more }, inner, lnTried) > 0)) return;
  const [own] = parted(older, innerOf(past.places, split));
  consider({ ...node, ...more, runs: [...own, ...runs] }, found, split, inner, lnTried);
}

function sumOf(one: Side, other: Side): Side {
  return {
    idle: one.idle + other.idle,
    working: one.working + other.working,
    sum: one.sum + other.sum,
  };
}
