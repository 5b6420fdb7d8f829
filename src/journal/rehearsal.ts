import type pg from 'pg';
import { firesOnCascades, requireBack, requireGone } from './cascade-triggers.js';
import { keepCascaded, keptOf, putBackCascaded } from './cascades.js';
import { isThere, keyPart, hasKey, type Shape } from './shape.js';
import { ChangeAltered, sameAs, valueOf, type Step, type Stretch } from './write-batch.js';

/**
 * Deletes a stretch's rows and puts them back, with what goes with them, and undoes both: where triggers run on that, nothing
 * else tells whether they can be restored. Throws {@link ChangeAltered}, before anything is deleted, for a row that would not
 * be what it is. What the database says to either is thrown as it is.
 */
export async function rehearseDeletes(client: pg.PoolClient, step: Step, stretch: Stretch): Promise<void> {
  const { shape, operation } = step;
  const { run, lane, from, to } = stretch;
  const { before, after, deferred } = shape.effects.insert;
  if (operation !== 'delete' || !(before || after || firesOnCascades(shape))) return;
  const { table, key, changes, name } = shape;
  await client.query('savepoint rehearsal');
  const goes = firesOnCascades(shape) ? await keepCascaded(client, step, stretch) : undefined;
  const { rows } = await client.query<{ seq: number }>(
    `delete from ${table} t using portcullis_region.change b
     where b.run = $1 and b.lane = $2 and b.seq > $3 and b.seq <= $4 and b.resource = $5 and b.after is null
       and ${sameAs(shape, 'b.before')} ${goes === undefined ? '' : 'and b.seq = any ($6)'}
     returning b.seq`,
    [run, lane, from, to, name, ...(goes === undefined ? [] : [goes])],
  );
  const seqs = rows.map(({ seq }) => seq);
  const kept = keptOf(run, lane, seqs);
  if (goes !== undefined) await requireGone(client, shape, kept);
  const of = [run, lane, seqs];
  await client.query(
    `insert into ${table} (${[...key, ...changes].map(({ quoted }) => quoted).join(', ')}) overriding system value
     select ${[...key.map((_, at) => keyPart(key, 'b.key', at)), ...changes.map((column) => valueOf('b.before', column))].join(', ')}
     from portcullis_region.change b where b.run = $1 and b.lane = $2 and b.seq = any ($3)`,
    of,
  );
  if (goes !== undefined) await putBackCascaded(client, shape, kept);
  if (deferred) await client.query('set constraints all immediate');
  if (goes !== undefined) await requireBack(client, shape, kept);
  const altered = await client.query<{ key: string; there: boolean }>(
    `select b.key, ${isThere(shape, 't')} as there
     from portcullis_region.change b left join ${table} t on ${hasKey(shape, 't', 'b.key')}
     where b.run = $1 and b.lane = $2 and b.seq = any ($3) and (${sameAs(withChangesAlone(shape), 'b.before')}) is not true
     order by b.seq limit 1`,
    of,
  );
  await client.query('rollback to savepoint rehearsal');
  const [wrong] = altered.rows;
  if (wrong)
    throw new ChangeAltered(
      `${name} ${wrong.key} ${wrong.there ? 'would not be what it was' : 'would not be there'} once it was restored: a trigger of ${shape.resource.table} makes something else of what is inserted`,
    );
}

function withChangesAlone(shape: Shape): Shape {
  return { ...shape, compared: shape.changes };
}
