import pg from 'pg';
import { keyColumns, uniqueColumns, type UniqueResource } from './change.js';
import { quoteTable } from './shape.js';

/** SQL for the value that columns' texts make; null where the row has none. */
function valueOf(resource: UniqueResource, text: (column: string) => string): string {
  const { columns, whiles } = uniqueColumns(resource);
  const [first = 'null', ...others] = columns.map(text);
  const value = others.length === 0 ? first : `jsonb_build_array(${[first, ...others].join(', ')})::text`;
  const counts = [
    ...whiles.map(
      ([name, values]) => `${text(name)} in (${values.map((each) => pg.escapeLiteral(each)).join(', ')})`,
    ),
    ...(others.length === 0 ? [] : [first, ...others].map((each) => `${each} is not null`)),
  ];
  return counts.length === 0 ? value : `case when ${counts.join(' and ')} then ${value} end`;
}

/** SQL for the value that an image of a change `c` has. */
function ofImage(resource: UniqueResource, image: string): string {
  const key = keyColumns(resource);
  return valueOf(resource, (column) => {
    const at = key.indexOf(column);
    if (at < 0) return `(${image}->>${pg.escapeLiteral(column)})`;
    return key.length === 1 ? 'c.key' : `(c.key::jsonb->>${at})`;
  });
}

/** Of the changes of run $1 to a resource $2, those behind lane $3 and place $4 that take a value or give one up. */
export function movesQuery(resource: UniqueResource, most: number): string {
  const taken = ofImage(resource, `(coalesce(c.before, '{}') || c.after)`);
  return `
    select * from (
      select c.lane, c.seq, c.key,
        case when c.after is not null then ${taken} end as takes,
        case when c.before is not null then ${ofImage(resource, 'c.before')} end as gives
      from portcullis_region.change c
      where c.run = $1 and c.resource = $2 and (c.lane, c.seq) > ($3, $4)
    ) moved
    where takes is distinct from gives order by lane, seq limit ${most}`;
}

const rowValue = (resource: UniqueResource): string =>
  valueOf(resource, (column) => `t.${pg.escapeIdentifier(column)}::text`);

/** SQL for a row's key as the journal has it. */
function rowKey(resource: UniqueResource): string {
  const texts = keyColumns(resource).map((column) => `t.${pg.escapeIdentifier(column)}::text`);
  return texts.length === 1
    ? (texts[0] ?? '')
    : `'[' || ${texts.map((text) => `to_json(${text})::text`).join(` || ',' || `)} || ']'`;
}

/** The rows that have a value, with it: all of them, or those of the keys $1. */
export function heldQuery(resource: UniqueResource, which?: 'of these keys'): string {
  const key = rowKey(resource);
  return `select * from (select ${key} as key, ${rowValue(resource)} as value from ${quoteTable(resource.table)} t
    ${which === undefined ? '' : `where ${key} = any ($1)`}) held where value is not null`;
}
