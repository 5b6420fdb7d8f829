import cron from 'node-cron';

/**
 * The newest slot of a UTC cron schedule in (`after`, `until`], or undefined where none was due.
 *
 * node-cron tells the next runs but not the last ones, so this walks back, by minutes (or by seconds for
 * schedules of six fields), at most {@link LOOK_BACK_STEPS} steps: a slot missed before that is forgotten.
 */
export function newestSlot(schedule: string, after: Date, until: Date): Date | undefined {
  const stepMs = schedule.trim().split(/\s+/).length === 6 ? 1_000 : 60_000;
  const task = cron.createTask(schedule, () => undefined, { timezone: 'UTC' });
  let at = Math.floor(until.getTime() / stepMs) * stepMs;
  for (let step = 0; step < LOOK_BACK_STEPS && at > after.getTime(); step += 1, at -= stepMs) {
    const slot = new Date(at);
    if (task.match(slot)) return slot;
  }
  return undefined;
}

/** Two days of minutes. */
const LOOK_BACK_STEPS = 2_880;

/**
 * How late a slot may be noticed and still be run: a process that stands still for some seconds, on a machine that
 * is busy or was suspended, leaves none out. What is noticed later has been missed.
 */
const LATE_MS = 60_000;

/**
 * Calls `tick` with each slot of a UTC cron schedule as it comes due. Where several have come due since the process
 * last looked, with the newest alone. Answers the way to stop.
 */
export function scheduleTicks(
  schedule: string,
  name: string,
  tick: (slot: Date) => void,
): () => Promise<void> {
  // A tick that comes late is still its slot's; election makes sure that the slot runs once.
  const task = cron.schedule(schedule, ({ date }) => tick(date), {
    timezone: 'UTC',
    name,
    missedExecutionTolerance: LATE_MS,
    suppressMissedWarning: true,
  });
  return async () => {
    await task.destroy();
  };
}

/** When the schedule's next slot is due; undefined for one that never comes, such as 30 February. */
export function nextSlot(schedule: string): Date | undefined {
  return nthSlot(schedule, 1);
}

/** The n-th slot from now, counted from 1; undefined where there are not so many to come. */
export function nthSlot(schedule: string, n: number): Date | undefined {
  return cron.createTask(schedule, () => undefined, { timezone: 'UTC' }).getNextRuns(n)[n - 1];
}
