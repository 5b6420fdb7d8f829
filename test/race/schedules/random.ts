/** A source of repeatable choices: the same seed always gives the same ones. */
export class Random {
  private state: number;

  constructor(seed: number) {
    // Neighbouring seeds must not begin alike.
    this.state = Math.imul(seed + 1, 0x9e3779b1);
  }

  /** A whole number from 0 to below `limit` (mulberry32). */
  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error('there is nothing to pick from');
    return picked;
  }

  /** Picks by weight. */
  weighted<T>(from: readonly (readonly [weight: number, what: T])[]): T {
    let at = this.below(from.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, what] of from) {
      at -= weight;
      if (at < 0) return what;
    }
    throw new Error('there is nothing to pick from');
  }
}
