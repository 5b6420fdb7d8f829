import { setTimeout as wait } from 'node:timers/promises';

/** Thrown where something took longer than it may. */
export class Hung extends Error {}

/** Waits for `work` no longer than `limitMs`; then throws {@link Hung}, saying `what` it was that hung. */
export async function bounded<T>(limitMs: number, what: () => string, work: Promise<T>): Promise<T> {
  const late = new AbortController();
  const limit = wait(limitMs, undefined, { signal: late.signal }).then(() => {
    throw new Hung(`${what()} hung for ${limitMs / 1000} s`);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    late.abort();
    limit.catch(() => undefined);
  }
}
