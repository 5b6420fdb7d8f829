/** A split of the calendar, and on which side of it a place is. */
import type { CalendarPlace, PlaceColumns } from './count-calendar.js';

/** What tells two sides of a split apart: the clock's quarters, the days of the week, or a day of the month. */
export type Split =
  | { readonly by: 'clock'; readonly from: number; readonly to: number }
  | { readonly by: 'weekday'; readonly days: number }
  | { readonly by: 'month'; readonly bit: number };

/** Whether a place is on the inner side of a split. */
export function isWithin(split: Split, { slot, weekday, month }: CalendarPlace): boolean {
  switch (split.by) {
    case 'clock':
      return split.from < split.to
        ? slot >= split.from && slot < split.to
        : slot >= split.from || slot < split.to;
    case 'weekday':
      return (split.days & (1 << weekday)) !== 0;
    case 'month':
      return (month & (1 << split.bit)) !== 0;
  }
}

/** Whether the run at an index is on the inner side of a split. */
export type IsInner = (run: number) => boolean;

export function innerOf({ slots, weekdays, months }: PlaceColumns, split: Split): IsInner {
  switch (split.by) {
    case 'clock': {
      const { from, to } = split;
      if (from < to) return (run) => (slots[run] ?? 0) >= from && (slots[run] ?? 0) < to;
      return (run) => (slots[run] ?? 0) >= from || (slots[run] ?? 0) < to;
    }
    case 'weekday':
      return (run) => (split.days & (1 << (weekdays[run] ?? 0))) !== 0;
    case 'month':
      return (run) => ((months[run] ?? 0) & (1 << split.bit)) !== 0;
  }
}
