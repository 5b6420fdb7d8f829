import pg from 'pg';
import { hasKey, isThere, type Shape } from './shape.js';
import { ChangeAltered, sameColumn, type Stretch } from './write-batch.js';

/** A row that a restore has just written, and that is not what it was before the run. */
export interface AlteredRow {
  readonly seq: number;
  readonly key: string;
  readonly there: boolean;
  /** The declared columns that have other values. */
  readonly columns: readonly string[];
}

/** Reads a stretch's rows back, in the transaction that has just written them: those that are not what their changes say. */
export async function alteredRows(
  client: pg.PoolClient,
  shape: Shape,
  { run, lane, from, to }: Stretch,
): Promise<AlteredRow[]> {
  const there = isThere(shape, 't');
  const others = shape.changes.map(
    (column) =>
      `case when (${sameColumn(column, 'b.after')}) is not true then ${pg.escapeLiteral(column.name)} end`,
  );
  const { rows } = await client.query<AlteredRow>(
    `select * from (
       select b.seq, b.key, ${there} as there, b.after is null as gone,
         array_remove(array[${others.join(', ')}]::text[], null) as columns
       from portcullis_region.change b
       left join ${shape.table} t on ${hasKey(shape, 't', 'b.key')}
       where b.run = $1 and b.lane = $2 and b.seq > $3 and b.seq <= $4 and b.resource = $5
         and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (b.run, b.lane, b.seq))
     ) r
     where case when gone then there else not there or columns <> '{}' end
     order by seq`,
    [run, lane, from, to, shape.name],
  );
  return rows.map((row) => ({ ...row, columns: row.there ? row.columns : [] }));
}

/** What a refused row says of it. */
export function alteredText({ name, resource }: Shape, { key, there, columns }: AlteredRow): string {
  const what = !there
    ? 'is not there once it was restored'
    : columns.length === 0
      ? 'is still there once it was deleted'
      : `would not be what it was: ${columns.join(', ')}`;
  return `${name} ${key} ${what}; a trigger of ${resource.table} makes something else of it`;
}

/** Throws {@link ChangeAltered} where a row that a stretch has just written is not what its change says. */
export async function verifyRestored(
  client: pg.PoolClient,
  shapes: Iterable<Shape>,
  stretch: Stretch,
): Promise<void> {
  for (const shape of shapes) {
    const [wrong] = await alteredRows(client, shape, stretch);
    if (wrong) throw new ChangeAltered(alteredText(shape, wrong));
  }
}
