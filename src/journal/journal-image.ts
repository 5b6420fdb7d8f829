import pg from 'pg';
import { isThere, type Column, type Shape } from './shape.js';

/** Types whose values JavaScript holds exactly; every other is kept as its text (see `Value`). */
const HELD_EXACTLY: ReadonlySet<string> = new Set(['pg_catalog.bool', 'pg_catalog.int2', 'pg_catalog.int4']);

/** SQL for a row's declared columns, but for computed ones, in the journal's form; null where there is no row. */
export function rowImage(shape: Shape, row: string): string {
  const members = given(shape.compared).map((column) => member(column, `${row}.${column.quoted}`));
  return `case when ${isThere(shape, row)} then jsonb_build_object(${members.join(', ')}) end`;
}

/** SQL for an image with each value as its column would have it: a job may have written a time its own way. */
export function fittedImage({ compared }: Shape, image: string): string {
  const members = given(compared).map((column) =>
    member(column, `(${image}->>${pg.escapeLiteral(column.name)})::${column.fitted ?? column.cast}`),
  );
  return `case when ${image} is not null then jsonb_build_object(${members.join(', ')}) end`;
}

/**
 * SQL for whether the row of the change `b` is stored otherwise than planned. Column by column: an image takes longer to
 * make than values to compare, and most rows are stored as planned.
 */
export function storedOtherwise({ compared, changes }: Shape, row: string): string {
  const set = new Set(changes.map(({ name }) => name));
  return given(compared)
    .map(({ name, quoted, fitted, cast }) => {
      const planned = `(${set.has(name) ? 'b.after' : 'b.before'}->>${pg.escapeLiteral(name)})::${fitted ?? cast}`;
      return `${row}.${quoted}::text is distinct from ${planned}::text`;
    })
    .join(' or ');
}

/** What the database computes follows from the rest, and a restore's images do not have it. */
function given(columns: readonly Column[]): Column[] {
  return columns.filter(({ generated }) => !generated);
}

function member({ name, cast }: Column, value: string): string {
  return `${pg.escapeLiteral(name)}, to_jsonb(${value}${HELD_EXACTLY.has(cast) ? '' : '::text'})`;
}
