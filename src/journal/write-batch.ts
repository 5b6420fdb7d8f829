import { createHash } from 'node:crypto';
import pg from 'pg';
import type { Operation } from './change.js';
import { fittedImage, rowImage, storedOtherwise } from './journal-image.js';
import { hasKey, keyPart, type Column, type Shape } from './shape.js';

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

/** A change that cannot be carried out as it is: a trigger has made something else of it. */
export class ChangeAltered extends Error {
  override readonly name = 'ChangeAltered';
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
 *
 * Where other rows go with those that are deleted, `locked` are the changes whose rows they were kept of.
 */
/** The key of a change that inserts a row whose key the database gives, until it has. */
export function drawnKey(lane: number, seq: number): string {
  return `generated ${lane}.${seq}`;
}

const isDrawn = (key: string): string => `${key} like 'generated %'`;

export async function writeBatch(
  client: pg.PoolClient,
  step: Step,
  stretch: Stretch,
  locked?: readonly number[],
): Promise<BatchWritten> {
  const { rows } = await client.query<BatchWritten & { readonly strays: number }>({
    ...textOf(step),
    values: [
      stretch.run,
      stretch.lane,
      stretch.from,
      stretch.to,
      step.shape.name,
      ...(locked ? [locked] : []),
    ],
  });
  const { applied, conflicts, strays } = rows[0] ?? { applied: 0, conflicts: 0, strays: 0 };
  if (strays > 0)
    throw new ChangeAltered(
      `a trigger gave a row of ${step.shape.resource.table} another key than it was given`,
    );
  if (conflicts > 0) await recordFound(client, step, stretch);
  return { applied, conflicts };
}

const texts = new WeakMap<Step, Prepared>();

function textOf(step: Step): Prepared {
  const made = texts.get(step) ?? prepared(statement(step));
  texts.set(step, made);
  return made;
}

export interface Prepared {
  readonly name: string;
  readonly text: string;
}

/** Prepared once per connection. Two versions may declare one table differently: the name tells texts apart. */
export function prepared(text: string): Prepared {
  return { name: `portcullis ${createHash('sha256').update(text).digest('hex').slice(0, 24)}`, text };
}

/** Whether {@link writeBatch} keeps how rows were stored. */
export function keepsStored(step: Step): boolean {
  return isAltered(step) || draws(step);
}

/** Where nothing alters what is written, or something does so afterwards, nothing is asked of the rows that were. */
function isAltered({ shape, operation }: Step): boolean {
  const { before, after } = shape.effects[operation];
  return operation !== 'delete' && before && !after;
}

function draws({ shape, operation }: Step): boolean {
  return operation === 'insert' && drawsKey(shape);
}

function statement(step: Step): string {
  const { shape, operation, requires } = step;
  const rests = requires.length === 0 ? '' : `and not exists (${unmetOf('b.requires', requires)})`;
  const altered = isAltered(step);
  const { writes, missed, strays = '0' } = WRITES[operation](shape, rests, altered);
  const stored = storedFrom(altered, draws(step));
  return `
    with batch as (
      select seq, key, before, after, requires from portcullis_region.change
      where run = $1 and lane = $2 and seq > $3 and seq <= $4 and resource = $5 and ${SELECTS[operation]}${refusedBefore(shape)}
    ), ${writes}${stored}, missed as (
      insert into portcullis_region.conflict (run, lane, seq)
      select $1, $2, seq from batch b
      -- Hashed, where "not exists" becomes a nested loop over a batch that is thought to have one row.
      where ${missed}
      returning seq
    )
    select (select count(*) from written) as applied, (select count(*) from missed) as conflicts, ${strays} as strays`;
}

/** A change whose value another region's row has was a conflict before the run began. */
function refusedBefore({ resource }: Shape): string {
  return resource.uniqueAcross === undefined
    ? ''
    : ' and not exists (select from portcullis_region.conflict x where x.run = $1 and x.lane = $2 and x.seq = change.seq)';
}

/** Keeps what the database has made of rows: other values, where triggers may have, and keys. */
function storedFrom(altered: boolean, draws: boolean): string {
  if (!altered && !draws) return '';
  return `, stored as (
      insert into portcullis_region.stored (run, lane, seq, key, image)
      select $1, $2, seq, key, image
      from (select w.seq, ${draws ? `case when ${isDrawn('b.key')} then w.key end` : 'null::text'} as key, w.image
            from written w join batch b using (seq)) made
      where key is not null or image is not null
    )`;
}

/** The elements of a `requires` whose rows are gone or no longer have the image's values. */
export function unmetOf(requires: string, shapes: readonly Shape[], what = ''): string {
  const cases = shapes.map(
    (shape) => `
        q->>'resource' = ${pg.escapeLiteral(shape.name)} and not exists (
          select from ${shape.table} r
          where ${hasKey(shape, 'r', "(q->>'key')")} and ${textImageOf(shape, 'r')} @> (q->'image'))`,
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

interface Written {
  /** CTEs, of which `written` has the changes that were carried out. */
  readonly writes: string;
  /** Which changes of the batch `b` were not. */
  readonly missed: string;
  /** How many rows were made that no change asked for. */
  readonly strays?: string;
}

const WRITES: Readonly<Record<Operation, (shape: Shape, rests: string, altered: boolean) => Written>> = {
  insert: insertOf,
  update: (shape, rests, altered) => ({
    writes: `written as (
      update ${shape.table} t
      set ${shape.changes.map((column) => `${column.quoted} = ${valueOf('b.after', column)}`).join(', ')}
      from batch b
      where ${sameAs(shape, 'b.before')} ${rests}
      returning b.seq${altered ? `, case when ${storedOtherwise(shape, 't')} then ${rowImage(shape, 't')} end as image` : ''}
    )`,
    missed: 'b.seq not in (select seq from written)',
  }),
  delete: (shape, rests) => ({
    writes: `written as (
      delete from ${shape.table} t
      using batch b
      where ${sameAs(shape, 'b.before')} ${rests} ${othersAsDrawn(shape)} ${shape.branches.length > 0 ? 'and b.seq = any ($6)' : ''}
      returning b.seq
    )`,
    missed: 'b.seq not in (select seq from written)',
  }),
};

function insertOf(shape: Shape, rests: string, altered: boolean): Written {
  const { table, key, changes } = shape;
  const keys = key.map(({ quoted }) => quoted).join(', ');
  const returned = key.map(({ quoted }) => `t.${quoted}`).join(', ');
  const into = `insert into ${table} as t (${[...key, ...changes].map(({ quoted }) => quoted).join(', ')}) overriding system value`;
  const values = changes.map((column) => valueOf('after', column));
  const parts = key.map((_, at) => keyPart(key, 'b.key', at));
  if (!altered && !drawsKey(shape)) {
    return {
      writes: `written as (
      ${into}
      select ${[...parts, ...values].join(', ')} from batch b
      where true ${rests}
      ${ON_CONFLICT(shape)}
      returning ${returned}
    )`,
      missed: `(${parts.join(', ')}) not in (select ${keys} from written)`,
    };
  }
  const given = parts.map((part, at) => {
    const draws = key[at]?.draws;
    return `${draws !== undefined && drawsKey(shape) ? `case when ${isDrawn('b.key')} then ${draws} else ${part} end` : part} as k${at}`;
  });
  return {
    writes: `given as materialized (
      select b.seq, ${given.join(', ')}, b.after from batch b where true ${rests}
    ), inserted as (
      ${into}
      select ${[...key.map((_, at) => `k${at}`), ...values].join(', ')} from given
      ${ON_CONFLICT(shape)}
      returning ${returned}${altered ? `, ${rowImage(shape, 't')} as image` : ''}
    ), written as (
      select g.seq, g.k0::text as key, ${altered ? `nullif(i.image, ${fittedImage(shape, 'g.after')})` : 'null::jsonb'} as image from inserted i join given g on ${key.map(({ quoted }, at) => `i.${quoted} = g.k${at}`).join(' and ')}
    )`,
    missed: 'b.seq not in (select seq from written)',
    strays: '(select count(*) from inserted) - (select count(*) from written)',
  };
}

/** A deferrable constraint has its say when it is checked, and cannot be asked here. */
function ON_CONFLICT({ key, facts }: Shape): string {
  const some = facts.uniques.some(({ deferrable }) => deferrable);
  return `on conflict ${some ? `(${key.map(({ quoted }) => quoted).join(', ')}) ` : ''}do nothing`;
}

/** Whether the database can give a row its key. */
export function drawsKey({ key }: Shape): boolean {
  return key.length === 1 && key[0].draws !== undefined;
}

/** A default that is the same whenever it is asked for. */
export const CONSTANT = /^(-?\d+(\.\d+)?|true|false|NULL|'([^']|'')*')(::[\w ."()[\],]+)?$/i;

/**
 * A row is deleted with columns that were added to the table since it was planned: of these the journal knows nothing,
 * so that they must be as the database fills them in by itself.
 */
export function othersAsDrawn({ others }: Shape): string {
  return others
    .map(({ quoted, draws = 'null', cast }) =>
      draws === 'null' || CONSTANT.test(draws)
        ? `and t.${quoted}::text is not distinct from (${draws})::${cast}::text`
        : 'and false',
    )
    .join(' ');
}

/** The row is the change's, and every compared column still has the value of `image`. */
export function sameAs(shape: Shape, image: string): string {
  const key = hasKey(shape, 't', 'b.key');
  return [key, ...shape.compared.map((column) => sameColumn(column, image))].join('\n        and ');
}

/** Whether a column of the row `t` has the value of `image`. */
export function sameColumn(column: Column, image: string): string {
  const now = `t.${column.quoted}`;
  const then = valueOf(image, column);
  return column.byText
    ? `${now}::text is not distinct from (${then})::text`
    : `${now} is not distinct from ${then}`;
}

/** SQL for a column's value in an image. */
export function valueOf(image: string, column: Column): string {
  return `(${image}->>${pg.escapeLiteral(column.name)})::${column.cast}`;
}

const NO_LONGER = `string_agg(format('%s %s is no longer as it was read', q->>'resource', q->>'key'), '; ')`;

/** Keeps, with each new conflict, the row as it was found: what a person needs to see to decide. */
async function recordFound(client: pg.PoolClient, step: Step, stretch: Stretch): Promise<void> {
  const { shape, requires } = step;
  const refusal = requires.length === 0 ? 'null' : `(${unmetOf('c.requires', requires, NO_LONGER)})`;
  await client.query(
    `update portcullis_region.conflict x
     set found = (select ${textImageOf(shape, 't')} from ${shape.table} t where ${hasKey(shape, 't', 'c.key')}),
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
