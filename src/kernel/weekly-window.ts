/** Hours of some days of the week, by the clocks of a place: `Mon–Thu 09:00–16:00 Europe/Berlin`. */
export interface WeeklyWindow {
  /** As it was written. */
  readonly text: string;
  /** 0 for Sunday to 6 for Saturday. */
  readonly days: readonly number[];
  /** Minutes since midnight: from, and up to but not including. */
  readonly fromMinute: number;
  readonly untilMinute: number;
  /** An IANA name. */
  readonly zone: string;
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;

/** What a window looks like; hyphens and dashes are one. */
const SHAPE = /^(\S.*?)\s+(\d\d?):(\d\d)\s*[-–—]\s*(\d\d?):(\d\d)\s+(\S+)$/;

/** Reads a window, or answers what is wrong with the text. A window ends on the day on which it begins. */
export function parseWeeklyWindow(text: string): WeeklyWindow | { readonly fault: string } {
  const [, dayText = '', fromHour, fromMin, untilHour, untilMin, zone = ''] = SHAPE.exec(text.trim()) ?? [];
  if (zone === '') return { fault: 'is not a window such as Mon–Thu 09:00–16:00 Europe/Berlin' };
  const days = parseDays(dayText);
  if (days === undefined) return { fault: `has invalid days: ${dayText}; use Mon–Thu, or Mon, Wed` };
  const fromMinute = minuteOf(fromHour, fromMin);
  const untilMinute = minuteOf(untilHour, untilMin);
  if (fromMinute === undefined) return invalidTime(fromHour, fromMin);
  if (untilMinute === undefined) return invalidTime(untilHour, untilMin);
  if (untilMinute <= fromMinute) return { fault: 'must end after it begins, on the same day' };
  if (!isZone(zone)) return { fault: `has an invalid time zone: ${zone}; use a name such as Europe/Berlin` };
  return { text, days, fromMinute, untilMinute, zone };
}

function invalidTime(hour = '', minute = ''): { readonly fault: string } {
  return { fault: `has an invalid time: ${hour}:${minute}; use HH:MM` };
}

/** Whether the clocks of the window's place stand within it. */
export function isWithin(window: WeeklyWindow, at: Date): boolean {
  const { day, minute } = localTime(window.zone, at);
  return window.days.includes(day) && minute >= window.fromMinute && minute < window.untilMinute;
}

/**
 * The first moment, from `at` on, that is within the window. Where clocks are put forward over its beginning, it
 * begins behind the gap; where they are put forward over all of it, it has no such day.
 */
export function nextWithin(window: WeeklyWindow, at: Date): Date {
  if (isWithin(window, at)) return at;
  let search = at.getTime();
  for (;;) {
    const { day, minute } = localTime(window.zone, new Date(search));
    const today = window.days.includes(day) && minute < window.fromMinute;
    const minutes = today ? window.fromMinute - minute : DAY_MINUTES - minute;
    // Clocks that are changed on the way bring us too early or too late by at most this: then minute by minute.
    const jump = minutes - CLOCK_CHANGE_MINUTES;
    const wholeMinute = Math.floor(search / MINUTE_MS) * MINUTE_MS;
    search = wholeMinute + Math.max(1, jump) * MINUTE_MS;
    if (isWithin(window, new Date(search))) return new Date(search);
  }
}

/** The most that clocks are changed by at once. */
const CLOCK_CHANGE_MINUTES = 120;

function parseDays(text: string): readonly number[] | undefined {
  const days = new Set<number>();
  for (const part of text.split(',')) {
    const [first, last = first, ...more] = part.split(/[-–—]/).map((name) => dayOf(name));
    if (first === undefined || first < 0 || last === undefined || last < 0 || more.length > 0)
      return undefined;
    for (let day = first; ; day = (day + 1) % DAYS.length) {
      days.add(day);
      if (day === last) break;
    }
  }
  return [...days].sort();
}

/** `Mon` or `Monday`, in either case; -1 for what is no day. */
function dayOf(name: string): number {
  const plain = name.trim().toLowerCase();
  const day = DAYS.indexOf(plain.slice(0, 3));
  return plain.length === 3 || LONG_DAYS.includes(plain) ? day : -1;
}

const LONG_DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

function minuteOf(hourText = '', minuteText = ''): number | undefined {
  const [hour, minute] = [Number(hourText), Number(minuteText)];
  const total = hour * 60 + minute;
  return minute < 60 && total <= DAY_MINUTES ? total : undefined;
}

function isZone(zone: string): boolean {
  try {
    clockOf(zone);
    return true;
  } catch {
    return false;
  }
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function clockOf(zone: string): Intl.DateTimeFormat {
  const known = clocks.get(zone);
  if (known) return known;
  const clock = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  clocks.set(zone, clock);
  return clock;
}

function localTime(zone: string, at: Date): { day: number; minute: number } {
  const parts = new Map(
    clockOf(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  );
  return {
    day: DAYS.indexOf((parts.get('weekday') ?? '').toLowerCase()),
    minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')),
  };
}
