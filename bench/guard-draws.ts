import { lnGamma } from '#dist/guard/gamma.js';
import type { Random } from '#dist/demo/random.js';

/** A distribution of counts, as a table: to draw from, and to know the exact chance of each tail. */
export class CountTable {
  /** P(Y < y), by y. */
  readonly #below: Float64Array;
  /** P(Y ≥ y), by y; summed from the far end, so that small chances keep their digits. */
  readonly #from: Float64Array;

  /** From the logarithms of the chances of 0, 1, 2, … up to where nothing is left. */
  constructor(lnMass: (y: number) => number, mean: number) {
    const masses: number[] = [];
    for (let y = 0; ; y += 1) {
      const mass = Math.exp(lnMass(y));
      masses.push(mass);
      if (y > mean && mass < 1e-18) break;
    }
    this.#below = new Float64Array(masses.length + 1);
    this.#from = new Float64Array(masses.length + 1);
    masses.forEach((mass, y) => (this.#below[y + 1] = (this.#below[y] ?? 0) + mass));
    for (let y = masses.length - 1; y >= 0; y -= 1)
      this.#from[y] = (this.#from[y + 1] ?? 0) + (masses[y] ?? 0);
  }

  draw(random: Random): number {
    // 53 bits, so that also what is rarer than one in four billion is drawn as often as it should be.
    const u = random.unit() + random.unit() / 2 ** 32;
    let [low, high] = [0, this.#below.length];
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#below[middle] ?? 1) <= u) low = middle;
      else high = middle;
    }
    return Math.min(low, this.#below.length - 2);
  }

  /** P(Y ≥ y). */
  atLeast(y: number): number {
    return y <= 0 ? 1 : (this.#from[Math.ceil(y)] ?? 0);
  }

  /** The smallest count with P(Y ≥ y) ≤ p: what would be known by who knows the distribution. */
  unlikelyFrom(p: number): number {
    return this.#from.findIndex((chance) => chance <= p);
  }
}

/** Negative binomial, of a mean and of a spread μ + μ²/k. */
export function negativeBinomial(mean: number, k: number): CountTable {
  return new CountTable(
    (y) =>
      lnGamma(y + k) -
      lnGamma(k) -
      lnGamma(y + 1) +
      k * Math.log(k / (k + mean)) +
      y * Math.log(mean / (k + mean)),
    mean,
  );
}

export function binomial(n: number, p: number): CountTable {
  return new CountTable(
    (y) =>
      y > n
        ? -Infinity
        : lnGamma(n + 1) - lnGamma(y + 1) - lnGamma(n - y + 1) + y * Math.log(p) + (n - y) * Math.log1p(-p),
    n * p,
  );
}

/** The Kullback–Leibler divergence of a share p from a share q, in nats. */
export function divergence(p: number, q: number): number {
  return p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q));
}
