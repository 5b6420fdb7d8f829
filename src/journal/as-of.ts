import type pg from 'pg';
import { z } from 'zod';
import { Image, isoTime } from '../kernel/schema.js';
import { PortcullisError } from '../kernel/errors.js';
import { BATCH_OF_CHANGE } from './batch-of.js';
import { fittedImage, rowImage } from './journal-image.js';
import { hasKey, type Shape } from './shape.js';
import { canStore } from './stored-rows.js';

/** A row as it was at a moment, as far as the journal tells. */
export const AsOf = z.strictObject({
  image: Image.nullable().describe("the declared columns' values; null: the row was not there"),
  from: z
    .enum(['change-before', 'change-after', 'row-now'])
    .describe('set by a change before the moment, met by one after it, or the row as it is now'),
  run: z.guid().nullable(),
  job: z.string().nullable(),
  version: z.string().nullable(),
  kind: z.string().nullable(),
  appliedAt: isoTime.nullable(),
});
export type AsOf = z.infer<typeof AsOf>;

/** A row of one of a job's resources: another job may call another table the same. */
export interface Row {
  readonly job: string;
  readonly shape: Shape;
  readonly key: string;
}

interface Found extends Omit<AsOf, 'from' | 'appliedAt'> {
  readonly by_then: boolean;
  readonly applied_at: Date;
}

/**
 * The declared columns' values that a row had at a moment. What others than runs did to the row is known only
 * where a run met it: between two changes, the values are those that the earlier one left.
 */
export async function asOf(pool: pg.Pool, { job, shape, key }: Row, at: Date): Promise<AsOf> {
  const stored = await canStore(pool);
  const { rows } = await pool.query<Found>(
    `with changed as (
       select c.*, ${stored ? '(select image from portcullis_region.stored s where (s.run, s.lane, s.seq) = (c.run, c.lane, c.seq))' : 'null::jsonb'} as stored
       from portcullis_region.change c where c.resource = $1 and c.key = $2
       ${stored ? 'union all select c.*, s.image from portcullis_region.stored s join portcullis_region.change c using (run, lane, seq) where s.key = $2 and c.resource = $1' : ''}
     ), applied as (
       select c.run, c.kind, c.before, c.after, c.stored, batch.applied_at, r.job, r.version, r.created_at
       from changed c
       join portcullis_region.run r on r.id = c.run and r.job = $4
       join portcullis_region.lane l on l.run = c.run and l.lane = c.lane and c.seq <= l.applied_seq
       cross join lateral (${BATCH_OF_CHANGE}) batch
       where not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq))
     ), earlier as (
       select *, true as by_then, coalesce(stored, coalesce(before, '{}') || after) as image
       from applied where applied_at <= $3 order by applied_at desc, created_at desc limit 1
     ), later as (
       select *, false as by_then, before as image
       from applied where applied_at > $3 order by applied_at, created_at limit 1
     )
     select run, job, version, kind, applied_at, by_then, ${fittedImage(shape, 'image')} as image
     from (select * from earlier union all select * from later) found
     order by by_then desc
     limit 1`,
    [shape.name, key, at, job],
  );
  const [found] = rows;
  if (found) {
    const { by_then, applied_at, ...rest } = found;
    return {
      ...rest,
      from: by_then ? 'change-before' : 'change-after',
      appliedAt: applied_at.toISOString(),
    };
  }
  return {
    image: await rowNow(pool, shape, key),
    from: 'row-now',
    ...{ run: null, job: null, version: null, kind: null, appliedAt: null },
  };
}

/** SQLSTATE class 22: text that is no value of the key's type. */
const BAD_VALUE = /^22/;

async function rowNow(pool: pg.Pool, shape: Shape, key: string): Promise<Image | null> {
  try {
    const { rows } = await pool.query<{ image: Image }>(
      `select ${rowImage(shape, 't')} as image from ${shape.table} t where ${hasKey(shape, 't', '$1::text')}`,
      [key],
    );
    return rows[0]?.image ?? null;
  } catch (error) {
    if (!BAD_VALUE.test(String((error as { code?: unknown }).code))) throw error;
    throw new PortcullisError('REQUEST_INVALID', `${JSON.stringify(key)} cannot be a key of ${shape.name}`, {
      hint: `its key is ${shape.key.map(({ name, cast }) => `${name}, of type ${cast.replace('pg_catalog.', '')}`).join('; ')}`,
      cause: error,
    });
  }
}
