import { setTimeout } from 'node:timers/promises';

/**
 * Waits for a condition that nothing announces, asking every few milliseconds, and answers what it answered.
 * Throws, naming what it waited for, after `limitMs`.
 */
export async function until<T>(
  what: string,
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  limitMs = 15_000,
): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await condition();
    if (answer !== false && answer !== undefined) return answer;
    if (performance.now() - startedAt > limitMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await setTimeout(5);
  }
}
