/**
 * Which runs are comparable: a tree of splits of the calendar, learned from past counts (docs/reference/guard.md).
 * Each split must pay for itself: a job whose counts do not differ by hour or day keeps all its runs together.
 */
import { addCount, K, noSums } from './count-prediction.js';
import { MONTH_DAYS, SLOTS, type CalendarPlace } from './count-calendar.js';

const { log, cbrt, min, max } = Math;

/** What tells two sides of a split apart: the clock's quarters, the days of the week, or a day of the month. */
export type Split =
  | { readonly by: 'clock'; readonly from: number; readonly to: number }
  | { readonly by: 'weekday'; readonly days: number }
  | { readonly by: 'month'; readonly bit: number };

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

/** Whether a place is on the inner side of a split. */
export function isWithin(split: Split, { slot, weekday, month }: CalendarPlace): boolean {
  switch (split.by) {
    case 'clock':
      return split.from < split.to
        ? slot >= split.from && slot < split.to
        : slot >= split.from || slot < split.to;
    case 'weekday':
      return (split.days & (1 << weekday)) !== 0;
    case 'month':
      return (month & (1 << split.bit)) !== 0;
  }
}

/** Past runs, as splits are learned from them: when each was, and what it planned for equally many units. */
export interface PlacedCounts {
  readonly places: readonly CalendarPlace[];
  readonly counts: Float64Array;
}

/** Learns the splits of the calendar that explain counts better than they cost. Pure. */
export function learnTree(past: PlacedCounts): CalendarTree {
  return grown(
    past,
    past.places.map((_, index) => index),
  );
}

function grown(past: PlacedCounts, runs: readonly number[]): CalendarTree {
  const { split, excess } = bestSplit(past, runs);
  if (!split) return { runs };
  const within: number[] = [];
  const outside: number[] = [];
  for (const run of runs) {
    const place = past.places[run];
    if (place) (isWithin(split, place) ? within : outside).push(run);
  }
  const side = (of: readonly number[]): CalendarTree => (excess > 0 ? grown(past, of) : { runs: of });
  return { runs, split: { by: split, lnOdds: excess, within: side(within), outside: side(outside) } };
}

/** Idle runs, working runs, and the sum of what these planned beyond one each. */
interface Side {
  idle: number;
  working: number;
  sum: number;
}

/** A node, as its splits are tried: each run's clipped count beyond one, or −1 for an idle run. */
interface Node {
  readonly places: readonly CalendarPlace[];
  readonly sizes: Float64Array;
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

function bestSplit(past: PlacedCounts, runs: readonly number[]): Found {
  const found: Found = { split: undefined, excess: LEAST_LN_ODDS };
  if (runs.length < 2 * FEWEST_RUNS) return found;
  const node = nodeOf(past, runs);
  tryClock(node, found);
  tryWeekdays(node, found);
  tryMonth(node, found);
  return found;
}

function nodeOf(past: PlacedCounts, runs: readonly number[]): Node {
  const sizes = new Float64Array(runs.length);
  const places: CalendarPlace[] = [];
  for (let at = 0; at < runs.length; at += 1) {
    const run = runs[at] ?? 0;
    const place = past.places[run];
    sizes[at] = past.counts[run] ?? 0;
    if (place) places.push(place);
  }
  const clip = clipOf(sizes);
  const whole: Side = { idle: 0, working: 0, sum: 0 };
  for (let at = 0; at < sizes.length; at += 1) {
    const count = sizes[at] ?? 0;
    const size = count > 0 ? max(0, min(count, clip) - 1) : -1;
    sizes[at] = size;
    addSize(whole, size);
  }
  const k = bestK(sizes, whole);
  const lnWhole = likelihood(whole.idle, whole.working, whole.sum, k);
  return { places, sizes, k, whole, lnWhole, lnRuns: log(runs.length) };
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

/** The counts of runs that work. */
export function workingOf(counts: Float64Array): Float64Array {
  const working = new Float64Array(counts.length);
  let length = 0;
  for (let at = 0; at < counts.length; at += 1) {
    const count = counts[at] ?? 0;
    if (count > 0) working[length++] = count;
  }
  return working.subarray(0, length);
}

/** The median and the spread of counts' cube roots, where a spread hardly depends on the size; at least Poisson's. */
export function robustRoots(counts: Float64Array): { readonly middle: number; readonly spread: number } {
  const sorted = counts.slice().sort();
  const middle = cbrt(medianOf(sorted) + 0.375);
  const half = (sorted.length - 1) / 2;
  const below = distanceOf(Math.floor(half), sorted, middle);
  const above = Number.isInteger(half) ? below : distanceOf(Math.ceil(half), sorted, middle);
  const deviation = (1.4826 * (below + above)) / 2;
  return { middle, spread: max(deviation, max(1, middle ** 3) ** (-1 / 6) / 3) };
}

/**
 * The distance from the median of the root that so many others are nearer to it: the nearest are looked for on both
 * sides at once, which takes a few roots instead of all of them and another sort.
 */
function distanceOf(nearer: number, sorted: Float64Array, middle: number): number {
  const distance = (at: number): number => Math.abs(cbrt((sorted[at] ?? 0) + 0.375) - middle);
  const half = Math.ceil(sorted.length / 2);
  const taken = nearer + 1;
  let [low, high] = [max(0, taken - (sorted.length - half)), min(taken, half)];
  while (low < high) {
    const left = (low + high) >>> 1;
    if (distance(half - 1 - left) < distance(half + taken - left - 1)) low = left + 1;
    else high = left;
  }
  return max(low > 0 ? distance(half - low) : 0, taken > low ? distance(half + taken - low - 1) : 0);
}

function medianOf(sorted: Float64Array): number {
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

function bestK(sizes: Float64Array, { working, sum }: Side): number {
  const times = new Map<number, number>();
  const often = new Uint32Array(SMALL);
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
function hasDatesEnough({ places }: Node, split: Split): boolean {
  let [within, outside, lastWithin, lastOutside] = [0, 0, NaN, NaN];
  for (const place of places) {
    if (isWithin(split, place)) {
      if (place.date !== lastWithin) within += 1;
      lastWithin = place.date;
    } else {
      if (place.date !== lastOutside) outside += 1;
      lastOutside = place.date;
    }
    if (within >= FEWEST_DATES && outside >= FEWEST_DATES) return true;
  }
  return false;
}

/** Arcs of the clock between the quarters at which runs come, coarse first and then by quarters. */
function tryClock(node: Node, found: Found): void {
  // What comes before each quarter; two rounds, so that an arc over midnight is one difference.
  const rounds = 2 * SLOTS + 1;
  const [idle, working, sum] = [new Float64Array(rounds), new Float64Array(rounds), new Float64Array(rounds)];
  const present = new Uint8Array(SLOTS);
  node.places.forEach(({ slot }, index) => {
    present[slot] = 1;
    const size = node.sizes[index] ?? 0;
    const at = slot + 1;
    if (size < 0) idle[at] = (idle[at] ?? 0) + 1;
    else {
      working[at] = (working[at] ?? 0) + 1;
      sum[at] = (sum[at] ?? 0) + size;
    }
  });
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
  node.places.forEach(({ weekday }, index) => {
    const side = days[weekday];
    if (side) addSize(side, node.sizes[index] ?? 0);
  });
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
  const sides = MONTH_DAYS.map((): Side => ({ idle: 0, working: 0, sum: 0 }));
  for (let at = 0; at < node.places.length; at += 1) {
    const month = node.places[at]?.month ?? 0;
    if (month === 0) continue;
    sides.forEach((side, bit) => {
      if ((month & (1 << bit)) !== 0) addSize(side, node.sizes[at] ?? 0);
    });
  }
  sides.forEach((side, bit) => consider(node, found, { by: 'month', bit }, side, log(MONTH_DAYS.length)));
}
