import { setTimeout } from 'node:timers/promises';

/**
 * Waits for a condition that nothing announces, asking every few milliseconds, and answers what it answered.
 * Throws, naming what it waited for, after `limitMs`: a bound for what never comes, and no measure of speed.
 */
export async function until<T>(
  what: string,
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  limitMs = 60_000,
): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await condition();
    if (answer !== false && answer !== undefined) return answer;
    if (performance.now() - startedAt > limitMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await setTimeout(5);
  }
}
