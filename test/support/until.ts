import { setTimeout } from 'node:timers/promises';

/** Waits for a condition, asking every few milliseconds. Throws, naming what it waited for, after `limitMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 15_000,
): Promise<void> {
  const startedAt = performance.now();
  while (!(await condition())) {
    if (performance.now() - startedAt > limitMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await setTimeout(5);
  }
}
