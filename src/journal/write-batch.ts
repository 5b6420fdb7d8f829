import { createHash } from 'node:crypto';
import pg from 'pg';
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

/** One kind of statement that a plan needs. */
export interface Step {
  readonly shape: Shape;
  readonly operation: Operation;
  /** The resources that these changes may rest on. */
  readonly requires: readonly Shape[];
}

/**
 * Writes a stretch's changes of one resource and operation, in bulk, as a compare-and-set: a row that no
 * longer has the values the change was planned on, or that rests on a row which no longer has, is left as it
 * is and recorded as a conflict. To be called behind the fence, in its transaction.
 *
 * A row that is changed in the very moment of the statement is seen too, since PostgreSQL looks again at the
 * row it updates; for the rows that a change rests on, the statement's own snapshot counts.
 */
export async function writeBatch(client: pg.PoolClient, step: Step, stretch: Stretch): Promise<BatchWritten> {
  const text = textOf(step);
  const { rows } = await client.query<BatchWritten>({
    // Prepared once per connection. Two versions may declare one table differently: the name tells texts apart.
    name: text.name,
    text: text.sql,
    values: [stretch.run, stretch.lane, stretch.from, stretch.to, step.shape.name],
  });
  const written = rows[0] ?? { applied: 0, conflicts: 0 };
  if (written.conflicts > 0) await recordFound(client, step, stretch);
  return written;
}

const texts = new WeakMap<Step, { readonly name: string; readonly sql: string }>();

function textOf(step: Step): { readonly name: string; readonly sql: string } {
  const known = texts.get(step);
  if (known) return known;
  const sql = statement(step);
  const made = { name: `portcullis ${createHash('sha256').update(sql).digest('hex').slice(0, 24)}`, sql };
  texts.set(step, made);
  return made;
}

function statement({ shape, operation, requires }: Step): string {
  const rests = requires.length === 0 ? '' : `and not exists (${unmet('b.requires', requires)})`;
  return `
    with batch as (
      select seq, key, before, after, requires from portcullis_region.change
      where run = $1 and lane = $2 and seq > $3 and seq <= $4 and resource = $5 and ${SELECTS[operation]}
    ), written as (
      ${WRITES[operation](shape, rests)}
    ), missed as (
      insert into portcullis_region.conflict (run, lane, seq)
      select $1, $2, seq from batch b
      -- Hashed, where "not exists" becomes a nested loop over a batch that is thought to have one row.
      where ${operation === 'insert' ? `b.key::${shape.key.cast} not in (select key from written)` : 'b.seq not in (select seq from written)'}
      returning seq
    )
    select (select count(*) from written) as applied, (select count(*) from missed) as conflicts`;
}

/** The elements of a `requires` whose rows are gone or no longer have the image's values. */
function unmet(requires: string, shapes: readonly Shape[], what = ''): string {
  const cases = shapes.map(
    (shape) => `
        q->>'resource' = ${pg.escapeLiteral(shape.name)} and not exists (
          select from ${shape.table} r
          where r.${shape.key.quoted} = (q->>'key')::${shape.key.cast} and ${textImageOf(shape, 'r')} @> (q->'image'))`,
  );
  return `select ${what} from jsonb_array_elements(${requires}) q where ${cases.join(' or ')}`;
}

/** A row's declared columns, each as its text. */
function textImageOf(shape: Shape, row: string): string {
  return `jsonb_build_object(${shape.compared
    .map((column) => `${pg.escapeLiteral(column.name)}, ${row}.${column.quoted}::text`)
    .join(', ')})`;
}

const SELECTS: Readonly<Record<Operation, string>> = {
  insert: 'before is null',
  update: 'before is not null and after is not null',
  delete: 'after is null',
};

const WRITES: Readonly<Record<Operation, (shape: Shape, rests: string) => string>> = {
  insert: ({ table, key, changes }, rests) => `
      insert into ${table} (${[key, ...changes].map((column) => column.quoted).join(', ')}) overriding system value
      select ${[`key::${key.cast}`, ...changes.map((column) => valueOf('after', column))].join(', ')} from batch b
      where true ${rests}
      on conflict do nothing
      returning ${key.quoted} as key`,
  update: (shape, rests) => `
      update ${shape.table} t
      set ${shape.changes.map((column) => `${column.quoted} = ${valueOf('b.after', column)}`).join(', ')}
      from batch b
      where ${sameAs(shape, 'b.before')} ${rests}
      returning b.seq`,
  delete: (shape, rests) => `
      delete from ${shape.table} t
      using batch b
      where ${sameAs(shape, 'b.before')} ${rests}
      returning b.seq`,
};

/** The row is the change's, and every compared column still has the value of `image`. */
export function sameAs(shape: Shape, image: string): string {
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
  return `(${image}->>${pg.escapeLiteral(column.name)})::${column.cast}`;
}

const NO_LONGER = `string_agg(format('%s %s is no longer as it was read', q->>'resource', q->>'key'), '; ')`;

/** Keeps, with each new conflict, the row as it was found: what a person needs to see to decide. */
async function recordFound(client: pg.PoolClient, step: Step, stretch: Stretch): Promise<void> {
  const { shape, requires } = step;
  const refusal = requires.length === 0 ? 'null' : `(${unmet('c.requires', requires, NO_LONGER)})`;
  await client.query(
    `update portcullis_region.conflict x
     set found = (select ${textImageOf(shape, 't')} from ${shape.table} t where t.${shape.key.quoted} = c.key::${shape.key.cast}),
         refusal = ${refusal}
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
