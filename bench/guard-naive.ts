/** Rules for counts that one would write first, each told its runs one by one. All at a nominal one in a thousand or 3σ. */
import { median } from './bench.js';

/** Whether a run is too many; it learns of the run afterwards, whatever it said. */
export type NaiveRule = (at: number, count: number) => boolean;

const WINDOW = 100;
const LEARNED_FROM = 10;
const WEEK_MS = 7 * 86_400_000;
const QUARTER_MS = 900_000;

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

/** A rule over the last hundred runs. */
function windowed(isTooMany: (past: readonly number[], count: number) => boolean): NaiveRule {
  const past: number[] = [];
  return (_, count) => {
    const fails = past.length >= LEARNED_FROM && isTooMany(past, count);
    past.push(count);
    if (past.length > WINDOW) past.shift();
    return fails;
  };
}

export const NAIVE_RULES: Readonly<Record<string, () => NaiveRule>> = {
  '3σ': () => windowed((past, count) => count > mean(past) + 3 * deviation(past)),
  'EWMA 3σ': () => {
    let level = Number.NaN;
    return windowed((past, count) => {
      const before = Number.isNaN(level) ? mean(past) : level;
      level = before + 0.2 * (count - before);
      return count > before + 3 * deviation(past);
    });
  },
  'median + 3 MAD': () =>
    windowed((past, count) => {
      const middle = median(past);
      return count > middle + 3 * 1.4826 * median(past.map((each) => Math.abs(each - middle)));
    }),
  'Poisson CUSUM': () => {
    let sum = 0;
    return windowed((past, count) => {
      sum = Math.max(0, sum + count * Math.LN2 - mean(past));
      const fails = sum >= Math.log(1_000);
      if (fails) sum = 0;
      return fails;
    });
  },
  Farrington: () => {
    const slots = new Map<number, number[]>();
    const past: number[] = [];
    return (at, count) => {
      const slot = Math.floor((at % WEEK_MS) / QUARTER_MS);
      const alike = [-1, 0, 1].flatMap((step) => slots.get(slot + step) ?? []);
      const base = alike.length >= 5 ? alike : past.slice(-WINDOW);
      slots.set(slot, [...(slots.get(slot) ?? []), count].slice(-6));
      past.push(count);
      return base.length >= 5 && count > farringtonLimit(base);
    };
  },
};

/** The limit of Farrington's algorithm without a trend: an overdispersed Poisson, skewed by its two thirds' power. */
function farringtonLimit(base: readonly number[]): number {
  const level = Math.max(mean(base), 0.1);
  const dispersion = Math.max(1, (deviation(base) ** 2 * base.length) / (base.length - 1) / level);
  const variance = dispersion * level * (1 + 1 / base.length);
  return level * (1 + ((2 / 3) * 3.09 * Math.sqrt(variance)) / level) ** 1.5;
}
