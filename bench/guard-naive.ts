/** Rules for counts that one would write first, each told its runs one by one. All at a nominal one in a thousand or 3σ. */
import { median } from './bench.js';

export interface NaiveRule {
  /** The count beyond which the next run is too many; Infinity while it knows too little. */
  readonly limit: (at: number) => number;
  /** Takes a run in, whatever it said of it. */
  readonly learn: (at: number, count: number) => void;
}

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

/** A rule over the last hundred runs; `learned` is told of each run before it is one of them. */
function windowed(
  limitOf: (past: readonly number[]) => number,
  learned: (past: readonly number[], count: number) => void = () => undefined,
): NaiveRule {
  const past: number[] = [];
  return {
    limit: () => (past.length >= LEARNED_FROM ? limitOf(past) : Infinity),
    learn(_, count) {
      if (past.length > 0) learned(past, count);
      past.push(count);
      if (past.length > WINDOW) past.shift();
    },
  };
}

export const NAIVE_RULES: Readonly<Record<string, () => NaiveRule>> = {
  '3σ': () => windowed((past) => mean(past) + 3 * deviation(past)),
  'EWMA 3σ': () => {
    let level = Number.NaN;
    const levelOf = (past: readonly number[]): number => (Number.isNaN(level) ? mean(past) : level);
    return windowed(
      (past) => levelOf(past) + 3 * deviation(past),
      (past, count) => {
        const before = levelOf(past);
        level = before + 0.2 * (count - before);
      },
    );
  },
  'median + 3 MAD': () =>
    windowed((past) => {
      const middle = median(past);
      return middle + 3 * 1.4826 * median(past.map((each) => Math.abs(each - middle)));
    }),
  'Poisson CUSUM': () => {
    let sum = 0;
    const needed = Math.log(1_000);
    return windowed(
      (past) => (needed + mean(past) - sum) / Math.LN2,
      (past, count) => {
        sum = Math.max(0, sum + count * Math.LN2 - mean(past));
        if (sum >= needed) sum = 0;
      },
    );
  },
  Farrington: () => {
    const slots = new Map<number, number[]>();
    const past: number[] = [];
    const slotOf = (at: number): number => Math.floor((at % WEEK_MS) / QUARTER_MS);
    return {
      limit(at) {
        const alike = [-1, 0, 1].flatMap((step) => slots.get(slotOf(at) + step) ?? []);
        const base = alike.length >= 5 ? alike : past.slice(-WINDOW);
        return base.length >= 5 ? farringtonLimit(base) : Infinity;
      },
      learn(at, count) {
        slots.set(slotOf(at), [...(slots.get(slotOf(at)) ?? []), count].slice(-6));
        past.push(count);
      },
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
