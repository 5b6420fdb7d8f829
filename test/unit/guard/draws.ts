import type { Random } from '../../../src/demo/random.js';

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

/** P(Y ≥ y) of a negative binomial. */
export function atLeast(y: number, mean: number, k: number): number {
  let [chance, below] = [(k / (k + mean)) ** k, 0];
  for (let each = 0; each < y; each += 1) {
    below += chance;
    chance *= ((each + k) / (each + 1)) * (mean / (mean + k));
  }
  return 1 - below;
}
