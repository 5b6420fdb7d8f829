import { murmur } from '../kernel/murmur.js';

/** A generator of pseudo-random values: the same seed gives the same values, in the same order, anywhere. */
export interface Random {
  /** At least 0 and below 1. */
  unit(): number;
  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number;
  pick<T>(list: readonly T[]): T;
  /** True in this share of cases, 0 to 1. */
  chance(share: number): boolean;
  /** A copy in another order. */
  shuffled<T>(list: readonly T[]): T[];
  /** One of the keys, in proportion to their weights. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K;
}

/** sfc32 (Chris Doty-Humphrey's Small Fast Counter, 128 bits of state), seeded from a text. */
export function seededRandom(seed: string): Random {
  let [a, b, c, counter] = [murmur(seed, 1) | 0, murmur(seed, 2) | 0, murmur(seed, 3) | 0, 1];
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  // The seed needs a few rounds to reach every bit.
  for (let round = 0; round < 12; round += 1) next();

  const unit = (): number => next() / 2 ** 32;
  const between = (least: number, most: number): number => least + Math.floor(unit() * (most - least + 1));
  return {
    unit,
    between,
    pick<T>(list: readonly T[]): T {
      if (list.length === 0) throw new RangeError('there is nothing to pick from');
      return list[between(0, list.length - 1)] as T;
    },
    chance: (share) => unit() < share,
    shuffled<T>(list: readonly T[]): T[] {
      const keyed = list.map((value) => ({ value, key: next() }));
      return keyed.sort((left, right) => left.key - right.key).map(({ value }) => value);
    },
    weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
      const entries = Object.entries(weights) as [K, number][];
      let rest = unit() * entries.reduce((sum, [, weight]) => sum + weight, 0);
      const found = entries.find(([, weight]) => (rest -= weight) < 0) ?? entries.at(-1);
      if (found === undefined) throw new RangeError('there is nothing to pick from');
      return found[0];
    },
  };
}
