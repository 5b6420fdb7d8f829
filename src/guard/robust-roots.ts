/** What counts usually are and how far they spread, whatever spikes are among them. */

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
  const sorted = sortedCounts(counts);
  const middle = Math.cbrt(medianOf(sorted) + 0.375);
  const half = (sorted.length - 1) / 2;
  const below = distanceOf(Math.floor(half), sorted, middle);
  const above = Number.isInteger(half) ? below : distanceOf(Math.ceil(half), sorted, middle);
  const deviation = (1.4826 * (below + above)) / 2;
  return { middle, spread: Math.max(deviation, Math.max(1, middle ** 3) ** (-1 / 6) / 3) };
}

/** Whole counts up to here are sorted by how often each is there, which takes a fifth of the time. */
const SMALL = 1_024;
const often = new Uint32Array(SMALL);

function sortedCounts(counts: Float64Array): Float64Array {
  often.fill(0);
  for (let at = 0; at < counts.length; at += 1) {
    const count = counts[at] ?? 0;
    if (count >= SMALL || !Number.isInteger(count)) return counts.slice().sort();
    often[count] = (often[count] ?? 0) + 1;
  }
  const sorted = new Float64Array(counts.length);
  let at = 0;
  for (let count = 0; at < sorted.length; count += 1) {
    const end = at + (often[count] ?? 0);
    sorted.fill(count, at, end);
    at = end;
  }
  return sorted;
}

/**
 * The distance from the median of the root that so many others are nearer to it: the nearest are looked for on both
 * sides at once, which takes a few roots instead of all of them and another sort.
 */
function distanceOf(nearer: number, sorted: Float64Array, middle: number): number {
  const distance = (at: number): number => Math.abs(Math.cbrt((sorted[at] ?? 0) + 0.375) - middle);
  const half = Math.ceil(sorted.length / 2);
  const taken = nearer + 1;
  let [low, high] = [Math.max(0, taken - (sorted.length - half)), Math.min(taken, half)];
  while (low < high) {
    const left = (low + high) >>> 1;
    if (distance(half - 1 - left) < distance(half + taken - left - 1)) low = left + 1;
    else high = left;
  }
  return Math.max(low > 0 ? distance(half - low) : 0, taken > low ? distance(half + taken - low - 1) : 0);
}

/** The middle of what is sorted; 0 where there is nothing. */
function medianOf(sorted: Float64Array): number {
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

/** A value this many times the median of those above 0 is a spike. */
const SPIKES_FROM = 8;

/** The mean of values of which spikes are cut; 0 where there are none. */
export function clippedMean(values: Float64Array): number {
  const most = SPIKES_FROM * medianOf(workingOf(values).sort());
  return values.length === 0
    ? 0
    : values.reduce((sum, each) => sum + Math.min(each, most), 0) / values.length;
}
