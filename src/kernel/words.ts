/** How figures, times and words are written for people. */

/** `12,345`. */
export function number(value: number): string {
  return value.toLocaleString('en-GB');
}

/** `2026-03-01T09:30:00Z`: UTC, to the second. */
export function time(at: Date | string): string {
  return new Date(at).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** Made when it is needed: to load its language takes milliseconds. */
let lists: Intl.ListFormat | undefined;

/** `Jira`, `Jira and Trello`, `Jira, Opsgenie and Trello`. */
export function listOf(names: readonly string[]): string {
  lists ??= new Intl.ListFormat('en-GB', { type: 'conjunction' });
  return lists.format(names);
}

/** `1 run`, `2 runs`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** What a job calls its units, such as organisations. */
export interface UnitLabel {
  readonly one: string;
  readonly many: string;
}

/** Where nothing says what a job's units are. */
export const UNITS: UnitLabel = { one: 'unit', many: 'units' };

/** `1 organisation`, `2 organisations`. */
export function unitsOf(count: number, { one, many }: UnitLabel): string {
  return countOf(count, one, many);
}

/** In single quotes: one word to a shell, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
