import { setTimeout } from 'node:timers/promises';

/** How soon it is asked again: at first, and where it takes long; whoever asks takes time from who is waited for. */
const SOON_MS = 5;
const LATER_MS = 15;

/**
 * Waits for a condition that nothing announces, asking every few milliseconds, and answers what it answered.
 * Throws, naming what it waited for, after `limitMs`: a bound for what never comes, and no measure of speed.
 */
export async function until<T>(
  what: string,
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  limitMs = 120_000,
): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await condition();
    if (answer !== false && answer !== undefined) return answer;
    const waitedMs = performance.now() - startedAt;
    if (waitedMs > limitMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await setTimeout(Math.min(Math.max(SOON_MS, waitedMs / 20), LATER_MS));
  }
}
