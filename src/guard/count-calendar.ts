/** Where an instant stands on the wall clock and the calendar of a time zone. */
export interface CalendarPlace {
  /** The quarter of an hour since midnight, 0 to 95. */
  readonly slot: number;
  /** Whole days since 1970-01-01, by the zone's calendar. */
  readonly date: number;
  /** 0 is Sunday. */
  readonly weekday: number;
  /** Bits of {@link MONTH_DAYS}. */
  readonly month: number;
}

/** Places on the calendar, a column for each part: the innermost loops read these. */
export interface PlaceColumns {
  readonly slots: Uint8Array;
  readonly weekdays: Uint8Array;
  readonly months: Uint8Array;
  readonly dates: Int32Array;
}

export function placeColumns(runs: readonly { readonly place: CalendarPlace }[]): PlaceColumns {
  const { length } = runs;
  const [slots, weekdays, months] = [new Uint8Array(length), new Uint8Array(length), new Uint8Array(length)];
  const dates = new Int32Array(length);
  runs.forEach(({ place: { slot, weekday, month, date } }, at) => {
    slots[at] = slot;
    weekdays[at] = weekday;
    months[at] = month;
    dates[at] = date;
  });
  return { slots, weekdays, months, dates };
}

export interface Calendar {
  /** The place of an instant, in milliseconds since 1970. */
  readonly placeOf: (at: number) => CalendarPlace;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
export const SLOTS = 96;
const SLOT_MS = DAY_MS / SLOTS;

/** Days of a month on which jobs often do something else; the first is bit 0. */
export const MONTH_DAYS = [
  'the first day of a month',
  'the last day of a month',
  'the first working day of a month',
  'the last working day of a month',
] as const;

const calendars = new Map<string, Calendar>();

/**
 * The calendar of an IANA time zone. Clocks are read as people there read them: on the day that has 25 hours one
 * hour's quarters come twice, and on the one of 23 hours four do not come. Throws RangeError for an unknown zone.
 */
export function calendarOf(timeZone = 'UTC'): Calendar {
  const known = calendars.get(timeZone);
  if (known) return known;
  const offsetAt = offsetsOf(timeZone);
  const months = new Map<number, number>();
  const calendar: Calendar = {
    placeOf(at) {
      const local = at + offsetAt(at);
      const date = Math.floor(local / DAY_MS);
      const month = months.get(date) ?? monthDaysOf(date);
      months.set(date, month);
      const slot = Math.floor((local - date * DAY_MS) / SLOT_MS);
      return { slot, date, weekday: weekdayOf(date), month };
    },
  };
  calendars.set(timeZone, calendar);
  return calendar;
}

/** What to add to an instant to read the zone's clock off it as if it were UTC, in milliseconds. */
function offsetsOf(timeZone: string): (at: number) => number {
  if (timeZone === 'UTC') return () => 0;
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  const ask = (at: number): number => {
    const part: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(at)) part[type] = Number(value);
    const { year = 1970, month = 1, day = 1, hour = 0, minute = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute) - Math.floor(at / MINUTE_MS) * MINUTE_MS;
  };
  // Asking takes microseconds, and a history is asked about thousands of times: once for each day without a change.
  const constant = new Map<number, number | undefined>();
  return (at) => {
    const day = Math.floor(at / DAY_MS);
    if (!constant.has(day)) {
      const start = ask(day * DAY_MS);
      constant.set(day, start === ask((day + 1) * DAY_MS) ? start : undefined);
    }
    return constant.get(day) ?? ask(at);
  };
}

/** 1970-01-01 was a Thursday. */
function weekdayOf(date: number): number {
  return (((date + 4) % 7) + 7) % 7;
}

function monthDaysOf(date: number): number {
  const day = new Date(date * DAY_MS);
  const [year, month] = [day.getUTCFullYear(), day.getUTCMonth()];
  const first = Date.UTC(year, month, 1) / DAY_MS;
  const last = Date.UTC(year, month + 1, 0) / DAY_MS;
  const special = [first, last, workingFrom(first, 1), workingFrom(last, -1)];
  return special.reduce((bits, each, bit) => (each === date ? bits | (1 << bit) : bits), 0);
}

function workingFrom(date: number, step: 1 | -1): number {
  let at = date;
  while (weekdayOf(at) === 0 || weekdayOf(at) === 6) at += step;
  return at;
}

/**
 * The days between two instants, in milliseconds since 1970, that are special in a month: from midnight to midnight by
 * the calendar's clock, cut to the two.
 */
export function specialDays(
  calendar: Calendar,
  from: number,
  to: number,
): { readonly from: number; readonly to: number }[] {
  const days: { from: number; to: number }[] = [];
  // By quarters of an hour, at which the days of every zone turn.
  for (let at = Math.floor(from / SLOT_MS) * SLOT_MS; at < to;) {
    const { date, month } = calendar.placeOf(at);
    let next = at + SLOT_MS;
    while (calendar.placeOf(next).date === date) next += SLOT_MS;
    if (month !== 0) days.push({ from: Math.max(from, at), to: Math.min(to, next) });
    at = next;
  }
  return days;
}
