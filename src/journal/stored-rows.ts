import type pg from 'pg';
import { rowImage, storedOtherwise } from './journal-image.js';
import { hasKey, isThere, type Shape } from './shape.js';
import {
  ChangeAltered,
  drawsKey,
  keepsStored,
  prepared,
  type Prepared,
  type Step,
  type Stretch,
} from './write-batch.js';

/**
 * Keeps what triggers have made of a stretch's rows since they were written, in its transaction: what waits for the
 * commit runs now, and the rows are read again. To be called when all of the steps are written; where no step's table
 * has a trigger that comes afterwards, it asks nothing. Throws {@link ChangeAltered} for a row that is not there any more.
 */
export async function readBack(
  client: pg.PoolClient,
  steps: readonly Step[],
  stretch: Stretch,
): Promise<void> {
  const effects = steps.map(({ shape, operation }) => shape.effects[operation]);
  if (!effects.some(({ after }) => after)) return;
  if (effects.some(({ deferred }) => deferred)) await client.query('set constraints all immediate');
  const writing = steps.filter(({ operation }) => operation !== 'delete');
  for (const shape of new Set(writing.map((step) => step.shape))) {
    const known = writing.some((step) => step.shape === shape && keepsStored(step));
    await keepStored(client, shape, stretch, known);
  }
  for (const { shape, operation } of steps)
    if (operation === 'delete' && shape.effects.delete.after) await requireGone(client, shape, stretch);
}

/** Throws {@link ChangeAltered} for a row that a trigger has put back once it was deleted. */
async function requireGone(
  client: pg.PoolClient,
  shape: Shape,
  { run, lane, from, to }: Stretch,
): Promise<void> {
  const { rows } = await client.query<{ key: string }>(
    `select b.key from portcullis_region.change b join ${shape.table} t on ${hasKey(shape, 't', 'b.key')}
     where b.run = $1 and b.lane = $2 and b.seq > $3 and b.seq <= $4 and b.resource = $5 and b.after is null
       and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (b.run, b.lane, b.seq))
     order by b.seq limit 1`,
    [run, lane, from, to, shape.name],
  );
  const [there] = rows;
  if (there)
    throw new ChangeAltered(
      `a trigger put row ${there.key} of ${shape.resource.table} back once it was deleted`,
    );
}

async function keepStored(
  client: pg.PoolClient,
  shape: Shape,
  { run, lane, from, to }: Stretch,
  known: boolean,
): Promise<void> {
  const { rows } = await client.query<{ key: string }>({
    ...textOf(shape, known),
    values: [run, lane, from, to, shape.name],
  });
  const [gone] = rows;
  if (gone)
    throw new ChangeAltered(
      `a trigger deleted row ${gone.key} of ${shape.resource.table} once it was written`,
    );
}

const texts = new WeakMap<Shape, Map<boolean, Prepared>>();

function textOf(shape: Shape, known: boolean): Prepared {
  const ofShape = texts.get(shape) ?? new Map<boolean, Prepared>();
  const made = ofShape.get(known) ?? prepared(statement(shape, known));
  texts.set(shape, ofShape.set(known, made));
  return made;
}

/** Only where something is `known` of rows can theirs be there already: looking for it costs a third of the insert. */
function statement(shape: Shape, known: boolean): string {
  const otherwise = storedOtherwise(shape, 't');
  return `with written as (
      select b.seq, b.key, ${isThere(shape, 't')} as there,
        case when ${isThere(shape, 't')} and (${otherwise}${known ? ' or s.image is not null' : ''}) then ${rowImage(shape, 't')} end as image
      from portcullis_region.change b
      ${known ? 'left join portcullis_region.stored s on (s.run, s.lane, s.seq) = (b.run, b.lane, b.seq)' : ''}
      left join ${shape.table} t on ${hasKey(shape, 't', known && drawsKey(shape) ? 'coalesce(s.key, b.key)' : 'b.key')}
      where b.run = $1 and b.lane = $2 and b.seq > $3 and b.seq <= $4 and b.resource = $5 and b.after is not null
        and b.seq not in (select x.seq from portcullis_region.conflict x where x.run = $1 and x.lane = $2 and x.seq > $3 and x.seq <= $4)
    ), kept as (
      insert into portcullis_region.stored (run, lane, seq, image)
      select $1, $2, seq, image from written where image is not null
      ${known ? 'on conflict (run, lane, seq) do update set image = excluded.image' : ''}
    )
    select key from written where not there order by seq limit 1`;
}

/** Whether the schema can say how rows were stored; an older one cannot. */
export async function canStore(database: pg.Pool | pg.PoolClient): Promise<boolean> {
  const { rows } = await database.query<{ there: boolean }>(
    `select to_regclass('portcullis_region.stored') is not null as there`,
  );
  return rows[0]?.there === true;
}

/** Whether any of a run's rows were stored otherwise than planned. Also on a schema that cannot say: then none were. */
export async function hasStored(database: pg.Pool | pg.PoolClient, run: string): Promise<boolean> {
  if (!(await canStore(database))) return false;
  const { rowCount } = await database.query('select from portcullis_region.stored where run = $1 limit 1', [
    run,
  ]);
  return (rowCount ?? 0) > 0;
}
