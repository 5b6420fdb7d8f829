import type pg from 'pg';
import type { Operation } from './change.js';
import type { Shape } from './shape.js';

/** A stretch of one lane: the changes with from < seq ≤ to. */
export interface Stretch {
  readonly run: string;
  readonly lane: number;
  readonly from: number;
  readonly to: number;
}

export interface BatchWritten {
  readonly applied: number;
  readonly conflicts: number;
}

/**
 * Writes a stretch's changes of one resource and operation, in bulk, as a compare-and-set: a row that no
 * longer has the values the change was planned on is left as it is and recorded as a conflict. To be called
 * behind the fence, in its transaction.
 */
export async function writeBatch(
  client: pg.PoolClient,
  shape: Shape,
  operation: Operation,
  stretch: Stretch,
): Promise<BatchWritten> {
  const { rows } = await client.query<BatchWritten>({
    // Prepared once per connection; the tables' names are part of the text.
    name: `portcullis ${operation} ${shape.resource.table}`,
    text: statement(shape, operation),
    values: [stretch.run, stretch.lane, stretch.from, stretch.to, shape.name],
  });
  const written = rows[0] ?? { applied: 0, conflicts: 0 };
  if (written.conflicts > 0) await recordFound(client, shape, stretch);
  return written;
}

function statement(shape: Shape, operation: Operation): string {
  return `
    with batch as (
      select seq, key, before, after from portcullis_region.change
      where run = $1 and lane = $2 and seq > $3 and seq <= $4 and resource = $5 and ${SELECTS[operation]}
    ), written as (
      ${WRITES[operation](shape)}
    ), missed as (
      insert into portcullis_region.conflict (run, lane, seq)
      select $1, $2, seq from batch b
      -- Hashed, where "not exists" becomes a nested loop over a batch that is thought to have one row.
      where ${operation === 'insert' ? `b.key::${shape.key.cast} not in (select key from written)` : 'b.seq not in (select seq from written)'}
      returning seq
    )
    select (select count(*) from written) as applied, (select count(*) from missed) as conflicts`;
}

const SELECTS: Readonly<Record<Operation, string>> = {
  insert: 'before is null',
  update: 'before is not null and after is not null',
  delete: 'after is null',
};

const WRITES: Readonly<Record<Operation, (shape: Shape) => string>> = {
  insert: ({ table, key, changes }) => `
      insert into ${table} (${[key, ...changes].map((column) => column.quoted).join(', ')})
      select ${[`key::${key.cast}`, ...changes.map((column) => valueOf('after', column))].join(', ')} from batch
      on conflict do nothing
      returning ${key.quoted} as key`,
  update: (shape) => `
      update ${shape.table} t
      set ${shape.changes.map((column) => `${column.quoted} = ${valueOf('b.after', column)}`).join(', ')}
      from batch b
      where ${sameAs(shape, 'b.before')}
      returning b.seq`,
  delete: (shape) => `
      delete from ${shape.table} t
      using batch b
      where ${sameAs(shape, 'b.before')}
      returning b.seq`,
};

/** The row is the change's, and every compared column still has the value of `image`. */
function sameAs(shape: Shape, image: string): string {
  const key = `t.${shape.key.quoted} = b.key::${shape.key.cast}`;
  const columns = shape.compared.map((column) => {
    const now = `t.${column.quoted}`;
    const then = valueOf(image, column);
    return column.byText
      ? `${now}::text is not distinct from (${then})::text`
      : `${now} is not distinct from ${then}`;
  });
  return [key, ...columns].join('\n        and ');
}

function valueOf(image: string, column: Shape['key']): string {
  return `(${image}->>'${column.name.replaceAll("'", "''")}')::${column.cast}`;
}

/** Keeps, with each new conflict, the row as it was found: what a person needs to see to decide. */
async function recordFound(client: pg.PoolClient, shape: Shape, stretch: Stretch): Promise<void> {
  const image = shape.compared
    .map((column) => `'${column.name.replaceAll("'", "''")}', t.${column.quoted}::text`)
    .join(', ');
  await client.query(
    `update portcullis_region.conflict x
     set found = (select jsonb_build_object(${image}) from ${shape.table} t where t.${shape.key.quoted} = c.key::${shape.key.cast})
     from portcullis_region.change c
     where x.run = $1 and x.lane = $2 and x.seq > $3 and x.seq <= $4
       and c.run = x.run and c.lane = x.lane and c.seq = x.seq and c.resource = $5`,
    [stretch.run, stretch.lane, stretch.from, stretch.to, shape.name],
  );
}

/** Records a single change as a conflict because a constraint of the database's refused it. */
export async function recordRefusal(client: pg.PoolClient, stretch: Stretch, refusal: string): Promise<void> {
  await client.query(
    'insert into portcullis_region.conflict (run, lane, seq, refusal) values ($1, $2, $3, $4)',
    [stretch.run, stretch.lane, stretch.to, refusal],
  );
}
