import type { Random } from '../../../src/replay/random.js';

/** Draws from a distribution on 0, 1, 2, … by the chance of 0 and the ratio of each chance to the one before. */
export function drawn(random: Random, none: number, ratio: (y: number) => number): number {
  let [left, chance, y] = [random.unit() - none, none, 0];
  while (left >= 0 && chance > 0) {
    chance *= ratio(y);
    y += 1;
    left -= chance;
  }
  return y;
}

export function negativeBinomial(random: Random, mean: number, k: number): number {
  return drawn(random, (k / (k + mean)) ** k, (y) => ((y + k) / (y + 1)) * (mean / (mean + k)));
}
