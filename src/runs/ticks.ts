import { newestSlot } from './slots.js';

/**
 * How late a slot may be noticed and still be run: a process that stands still for some seconds, on a machine that
 * is busy or was suspended, leaves none out. What is noticed later has been missed.
 */
export const LATE_MS = 60_000;

/** How often to look: the clock may be set at any time, so nothing sleeps until a slot that is far away. */
const LOOK_MS = 1_000;

/**
 * Calls `tick` with each slot of a UTC cron schedule as it comes due by `clock`. Where several have come due since the
 * last look, with the newest alone. A clock that is set back has its slots come due again: election runs each once.
 * Answers the way to stop.
 */
export function scheduleTicks(schedule: string, clock: () => Date, tick: (slot: Date) => void): () => void {
  let seen = clock().getTime();
  let timer: NodeJS.Timeout | undefined;
  const rest = (): void => {
    // To the full second, where slots are; a timer may go off a millisecond early.
    timer = setTimeout(look, LOOK_MS - (clock().getTime() % LOOK_MS) + 1);
  };
  const look = (): void => {
    const now = clock().getTime();
    const since = Math.max(Math.min(seen, now), now - LATE_MS);
    seen = now;
    rest();
    const slot = newestSlot(schedule, new Date(since), new Date(now));
    if (slot) tick(slot);
  };
  rest();
  return () => clearTimeout(timer);
}
