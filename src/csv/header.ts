import { nearest } from '../kernel/nearest.js';
import type { RowShape } from './columns.js';
import { shown } from './shown.js';

/** Where each of a file's columns stands in its lines; undefined: it was left out. */
export type Header = readonly (number | undefined)[];

/** Reads a header row. Answers the places of the shape's columns, in its order, or what is wrong with the row. */
export function readHeader(row: readonly string[], shape: RowShape): Header | { faults: string[] } {
  const known = shape.columns.map((column) => column.name);
  const separator = [';', '\t', '|'].find((letter) => row.length === 1 && row[0]?.includes(letter));
  if (separator !== undefined) {
    return { faults: [`the columns are separated by ${shown(separator)}; separate them by commas`] };
  }
  const faults = row.flatMap((name, index) => {
    if (row.indexOf(name) < index) return [`the column ${shown(name)} is there twice`];
    if (known.includes(name)) return [];
    const missing = known.filter((column) => !row.includes(column));
    const close = nearest(name, missing);
    const hint = close === undefined ? `the columns are ${known.join(', ')}` : `did you mean ${close}?`;
    return [`there is no column ${shown(name)}; ${hint}`];
  });
  for (const { name, needs } of shape.columns) {
    if (needs === 'nothing' || row.includes(name)) continue;
    faults.push(`the column ${name} is missing`);
  }
  if (faults.length > 0) return { faults };
  return known.map((name) => (row.includes(name) ? row.indexOf(name) : undefined));
}
