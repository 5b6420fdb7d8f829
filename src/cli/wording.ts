import { number } from '../kernel/words.js';
import type { Image } from '../journal/change.js';

/** How figures and times are written for people. */

/** Thousandths as `25%` or `0.1%`. */
export function share(permille: number): string {
  return `${permille / 10}%`;
}

/** How many of all kinds together. */
export function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** `claim 1,204, verify 31`; `–` where there is nothing. */
export function counts(byKind: Readonly<Record<string, number>>): string {
  const kinds = Object.entries(byKind).filter(([, count]) => count > 0);
  return kinds.length === 0 ? '–' : kinds.map(([kind, count]) => `${kind} ${number(count)}`).join(', ');
}

/** Each column that differs, as `state: UNMANAGED → MANAGED`; the whole row where it comes or goes. */
export function changedColumns(before: Image | null, after: Image | null): string[] {
  if (before === null) return [after === null ? '–' : `new row, ${imageText(after)}`];
  if (after === null) return [`row goes, was ${imageText(before)}`];
  return Object.keys(after)
    .filter((column) => after[column] !== before[column])
    .map((column) => `${column}: ${valueText(before[column])} → ${valueText(after[column])}`);
}

/** Each column and its value; `no such row` where there is none. */
export function imageText(image: Image | null): string {
  if (image === null) return 'no such row';
  return Object.entries(image)
    .map(([column, value]) => `${column}: ${valueText(value)}`)
    .join(', ');
}

function valueText(value: Image[string] | undefined): string {
  return value === null || value === undefined ? 'null' : String(value);
}

/** JSON with spaces to break lines at. */
export function evidenceText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(evidenceText).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([name, each]) => `${JSON.stringify(name)}:${evidenceText(each)}`,
  );
  return `{${members.join(', ')}}`;
}
