/** Attempts at one delivery, before it is given up for a person to look at: about two hours of them. */
export const MOST_ATTEMPTS = 12;
const FIRST_MS = 2_000;
const LONGEST_MS = 30 * 60_000;

/**
 * How long to wait behind the `attempts`-th attempt: doubling from 2 s up to 30 min, of which chance (0 to 1)
 * takes up to half away, so that receivers which failed together are not all tried together. Undefined: no more.
 */
export function retryInMs(attempts: number, chance: number): number | undefined {
  if (attempts >= MOST_ATTEMPTS) return undefined;
  const fullMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempts - 1));
  return Math.round(fullMs * (1 - chance / 2));
}
