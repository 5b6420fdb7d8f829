import type { z } from 'zod';

/**
 * What a query selects for a view: for each of its properties the column of that name in snake case, or what `from`
 * says instead.
 */
export function viewColumns<Shape extends z.ZodRawShape>(
  view: z.ZodObject<Shape>,
  from: Partial<Record<keyof Shape & string, string>> = {},
): string {
  const expressions: Readonly<Record<string, string | undefined>> = from;
  return Object.keys(view.shape)
    .map((name) => `${expressions[name] ?? snakeCase(name)} as "${name}"`)
    .join(', ');
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A row with a view's properties, as people and programs read it: times as ISO 8601 in UTC, and nothing else of the row. */
export function viewOf<View extends z.ZodObject>(view: View, row: object): z.infer<View> {
  const columns = row as Readonly<Record<string, unknown>>;
  const properties = Object.keys(view.shape).map((name) => {
    const value = columns[name];
    return [name, value instanceof Date ? value.toISOString() : value];
  });
  return Object.fromEntries(properties) as z.infer<View>;
}

/** A column's time within jsonb, as {@link viewOf} has it outside: jsonb writes microseconds and an offset. */
export function isoOf(column: string): string {
  return `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}
