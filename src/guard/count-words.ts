/** How a class of comparable runs is called: "runs 22:00–05:00 on Mon–Fri". */
import { MONTH_DAYS, SLOTS, type PlaceColumns } from './count-calendar.js';
import { isWithin, type Split } from './count-split.js';

/** What of the calendar a class has. */
export interface ClassBounds {
  /** The quarters at which the job runs, and those of them that the class has. */
  readonly slots: { readonly all: readonly number[]; readonly own: ReadonlySet<number> };
  /** The same of weekdays. */
  readonly weekdays: { readonly all: readonly number[]; readonly own: ReadonlySet<number> };
  /** Days of a month that the class is about, or about all but. */
  readonly month: readonly { readonly bit: number; readonly isInner: boolean }[];
}

export function everyRun(places: PlaceColumns): ClassBounds {
  const [slots, weekdays] = [distinct(places.slots), distinct(places.weekdays)];
  return {
    slots: { all: slots, own: new Set(slots) },
    weekdays: { all: weekdays, own: new Set(weekdays) },
    month: [],
  };
}

export function narrowed(bounds: ClassBounds, split: Split, isInner: boolean): ClassBounds {
  const has = (slot: number, weekday: number): boolean =>
    isWithin(split, { slot, weekday, date: 0, month: 0 }) === isInner;
  switch (split.by) {
    case 'clock': {
      const own = new Set([...bounds.slots.own].filter((slot) => has(slot, 0)));
      return { ...bounds, slots: { ...bounds.slots, own } };
    }
    case 'weekday': {
      const own = new Set([...bounds.weekdays.own].filter((weekday) => has(0, weekday)));
      return { ...bounds, weekdays: { ...bounds.weekdays, own } };
    }
    case 'month':
      return { ...bounds, month: [...bounds.month, { bit: split.bit, isInner }] };
  }
}

/** `runs`; `runs 09:00–17:00 on Mon–Fri`; `runs on the last day of a month`. */
export function classWords({ slots, weekdays, month }: ClassBounds): string {
  const hours = slots.own.size < slots.all.length ? ` ${listed(arcs(slots).map(arcWords))}` : '';
  const days =
    weekdays.own.size < weekdays.all.length
      ? ` on ${listed(arcs(weekdays, MONDAY_FIRST).map(daysWords))}`
      : '';
  const special = month.map(
    ({ bit, isInner }) => `${isInner ? ' on' : ' except on'} ${MONTH_DAYS[bit] ?? ''}`,
  );
  return `runs${hours}${days}${special.join('')}`;
}

/** `Mon–Fri`; `Mon, Wed and Fri`. */
export function daysInWords(weekdays: readonly number[]): string {
  return (
    listed(arcs({ all: MONDAY_FIRST, own: new Set(weekdays) }, MONDAY_FIRST).map(daysWords)) || 'every day'
  );
}

const MONDAY_FIRST = [1, 2, 3, 4, 5, 6, 0];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

interface Arc {
  readonly first: number;
  readonly last: number;
  /** The first of what comes after, outside the class. */
  readonly until: number | undefined;
}

/** The stretches of what a class has, among what there is, in a circle. */
function arcs(
  { all, own }: { readonly all: readonly number[]; readonly own: ReadonlySet<number> },
  order: readonly number[] = all,
): Arc[] {
  const circle = order.filter((each) => all.includes(each));
  const starts = circle.flatMap((each, at) =>
    own.has(each) && !own.has(circle.at(at - 1) ?? each) ? [at] : [],
  );
  return starts.map((start) => {
    let end = start;
    while (own.has(circle[(end + 1) % circle.length] ?? -1)) end += 1;
    return {
      first: circle[start] ?? 0,
      last: circle[end % circle.length] ?? 0,
      until: circle[(end + 1) % circle.length],
    };
  });
}

function arcWords({ first, until = 0 }: Arc): string {
  return `${clock(first)}–${clock(until)}`;
}

function daysWords({ first, last }: Arc): string {
  return first === last ? (DAYS[first] ?? '') : `${DAYS[first] ?? ''}–${DAYS[last] ?? ''}`;
}

/** `09:15`. */
export function clock(slot: number): string {
  const minutes = ((slot % SLOTS) * 24 * 60) / SLOTS;
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`;
}

function distinct(values: Uint8Array): number[] {
  return [...new Set(values)].sort((one, other) => one - other);
}
