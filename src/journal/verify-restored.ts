import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { hasKey, isThere, type Shape } from './shape.js';
import { sameAs, type Stretch } from './write-batch.js';

/**
 * Reads a stretch's rows back, in the transaction that has just written them, and throws RESTORE_MISMATCH
 * where one is not what its change says: a trigger may have had other ideas.
 */
export async function verifyRestored(
  client: pg.PoolClient,
  shapes: Iterable<Shape>,
  { run, lane, from, to }: Stretch,
): Promise<void> {
  for (const shape of shapes) {
    const there = isThere(shape, 't');
    const { rows } = await client.query<{ key: string; there: boolean }>(
      `select b.key, ${there} as there
       from portcullis_region.change b
       left join ${shape.table} t on ${hasKey(shape, 't', 'b.key')}
       where b.run = $1 and b.lane = $2 and b.seq > $3 and b.seq <= $4 and b.resource = $5
         and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (b.run, b.lane, b.seq))
         and case when b.after is null then ${there}
                  else (${sameAs({ ...shape, compared: shape.changes }, 'b.after')}) is not true end
       order by b.seq
       limit 1`,
      [run, lane, from, to, shape.name],
    );
    const [wrong] = rows;
    if (wrong === undefined) continue;
    throw new PortcullisError(
      'RESTORE_MISMATCH',
      `${shape.name} ${wrong.key} ${wrong.there ? 'has other values than' : 'is not there, unlike'} before the run, though they were just written`,
      {
        hint: `look for a trigger or rule on ${shape.resource.table} that changes what is written; this batch was undone`,
        details: { resource: shape.name, key: wrong.key },
      },
    );
  }
}
