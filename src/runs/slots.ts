import cron, { type ScheduledTask } from 'node-cron';

const DAY_MS = 86_400_000;

/** A schedule that is not due for so long never is: 29 February on one weekday comes round within 40 years. */
const LONGEST_PERIOD_YEARS = 40;

interface Schedule {
  readonly task: ScheduledTask;
  readonly months: ReadonlySet<number>;
  /** The times of a day, in seconds: whatever the day, they are the same. */
  readonly hours: readonly number[];
  readonly minutes: readonly number[];
  readonly seconds: readonly number[];
}

/** node-cron keeps every task that it makes, and so do we, one for each pattern. */
const schedules = new Map<string, Schedule>();

/**
 * The newest slot of a UTC cron schedule in (`after`, `until`], or undefined where none was due: however long ago
 * that is. node-cron tells which days match and names the next runs from the process's clock, but not the last ones;
 * so this walks back day by day, and within a day by the schedule's fields.
 */
export function newestSlot(schedule: string, after: Date, until: Date): Date | undefined {
  const parsed = parse(schedule);
  const oldest = yearsFrom(until, -LONGEST_PERIOD_YEARS);
  for (let day = dayOf(until.getTime()); day > oldest;) {
    const time = lastTime(parsed, Math.floor(Math.min(DAY_MS - 1, until.getTime() - day) / 1_000));
    const slot = time === undefined ? undefined : day + time * 1_000;
    if ((slot ?? day) <= after.getTime()) return undefined;
    // Asked last: it costs the most.
    if (slot !== undefined && matches(parsed, day)) return new Date(slot);
    day = parsed.months.has(monthOf(day)) ? day - DAY_MS : dayOf(startOfMonth(day, 0) - 1);
  }
  return undefined;
}

/** The n-th slot of a UTC cron schedule after a moment, counted from 1; undefined where there are not so many to come. */
export function nthSlot(schedule: string, n: number, after: Date): Date | undefined {
  const parsed = parse(schedule);
  const newest = yearsFrom(after, LONGEST_PERIOD_YEARS);
  let left = n;
  let from = after.getTime() + 1;
  for (let day = dayOf(from); day < newest;) {
    if (matches(parsed, day)) {
      for (;;) {
        const time = firstTime(parsed, Math.ceil(Math.max(0, from - day) / 1_000));
        if (time === undefined) break;
        left -= 1;
        if (left === 0) return new Date(day + time * 1_000);
        from = day + time * 1_000 + 1;
      }
    }
    day = parsed.months.has(monthOf(day)) ? day + DAY_MS : startOfMonth(day, 1);
  }
  return undefined;
}

function parse(schedule: string): Schedule {
  const known = schedules.get(schedule);
  if (known) return known;
  const { month, hour, minute, second } = cron.parse(schedule);
  const parsed: Schedule = {
    task: cron.createTask(schedule, () => undefined, { timezone: 'UTC' }),
    months: new Set(month),
    hours: hour.toSorted((one, other) => one - other),
    minutes: minute.toSorted((one, other) => one - other),
    seconds: second.toSorted((one, other) => one - other),
  };
  schedules.set(schedule, parsed);
  return parsed;
}

/** Whether a schedule has slots on a day: of its times, the first stands for all. */
function matches({ task, months, hours, minutes, seconds }: Schedule, day: number): boolean {
  const [hour = 0, minute = 0, second = 0] = [hours[0], minutes[0], seconds[0]];
  return months.has(monthOf(day)) && task.match(new Date(day + secondsOf(hour, minute, second) * 1_000));
}

/** The last time of the day that is no later than so many seconds after midnight. */
function lastTime({ hours, minutes, seconds }: Schedule, limit: number): number | undefined {
  const [hour, minute, second] = clockOf(limit);
  const last = (of: readonly number[], atMost: number): number | undefined =>
    of.findLast((each) => each <= atMost);
  const [finalMinute = 0, finalSecond = 0] = [minutes.at(-1), seconds.at(-1)];
  if (hours.includes(hour)) {
    if (minutes.includes(minute)) {
      const exact = last(seconds, second);
      if (exact !== undefined) return secondsOf(hour, minute, exact);
    }
    const earlier = last(minutes, minute - 1);
    if (earlier !== undefined) return secondsOf(hour, earlier, finalSecond);
  }
  const before = last(hours, hour - 1);
  return before === undefined ? undefined : secondsOf(before, finalMinute, finalSecond);
}

/** The first time of the day that is no earlier than so many seconds after midnight. */
function firstTime({ hours, minutes, seconds }: Schedule, limit: number): number | undefined {
  const [hour, minute, second] = clockOf(limit);
  const first = (of: readonly number[], atLeast: number): number | undefined =>
    of.find((each) => each >= atLeast);
  const [firstMinute = 0, firstSecond = 0] = [minutes[0], seconds[0]];
  if (hours.includes(hour)) {
    if (minutes.includes(minute)) {
      const exact = first(seconds, second);
      if (exact !== undefined) return secondsOf(hour, minute, exact);
    }
    const later = first(minutes, minute + 1);
    if (later !== undefined) return secondsOf(hour, later, firstSecond);
  }
  const after = first(hours, hour + 1);
  return after === undefined ? undefined : secondsOf(after, firstMinute, firstSecond);
}

function clockOf(seconds: number): readonly [hour: number, minute: number, second: number] {
  return [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
}

function secondsOf(hour: number, minute: number, second: number): number {
  return (hour * 60 + minute) * 60 + second;
}

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS) * DAY_MS;
}

function monthOf(day: number): number {
  return new Date(day).getUTCMonth() + 1;
}

function startOfMonth(day: number, ahead: number): number {
  const date = new Date(day);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + ahead, 1);
}

function yearsFrom(date: Date, years: number): number {
  return Date.UTC(date.getUTCFullYear() + years, date.getUTCMonth(), date.getUTCDate());
}
