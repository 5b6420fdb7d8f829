import type pg from 'pg';
import { z } from 'zod';
import { cascadedBy, grouped } from './extent.js';
import { impactByProduct, ProductImpact } from './product-impact.js';
import { streamRows } from './stream-rows.js';
import { count, isoTime } from '../kernel/schema.js';

const ImpactOfKind = z.strictObject({ resource: z.string(), kind: z.string(), rows: count });
/** Rows that a run changed, of one resource and kind. */
export type ImpactOfKind = z.infer<typeof ImpactOfKind>;

/** What runs have changed, in numbers. Conflicts, and what the runs did not get to, are not among the rows. */
export const Impact = z.strictObject({
  units: count.describe('units on whose behalf at least one row was changed'),
  rows: count,
  byKind: z.array(ImpactOfKind).readonly(),
  cascaded: count.describe(
    'rows of other tables that the database deleted, or changed, with rows that were deleted',
  ),
  byCascade: z
    .array(z.strictObject({ table: z.string(), rows: count }))
    .readonly()
    .describe('the same by table'),
  byProduct: z
    .array(ProductImpact)
    .readonly()
    .nullable()
    .describe('by the products that rows are used in, as known now; null where that is not known'),
  conflicts: count.describe('changes left out because their rows were not as planned'),
  firstAppliedAt: isoTime.nullable(),
  lastAppliedAt: isoTime.nullable(),
});
export type Impact = z.infer<typeof Impact>;

/** What a run has changed on behalf of one unit. */
export const UnitImpact = z.strictObject({
  unit: z.string(),
  rows: count,
  byResource: z.record(z.string(), count),
});
export type UnitImpact = z.infer<typeof UnitImpact>;

/** The impact of one run, or of several together. One that is not there, or applied nothing, has none. */
export async function impactOf(pool: pg.Pool, ...runs: readonly string[]): Promise<Impact> {
  const [sums, times, byProduct, byCascade] = await Promise.all([
    pool.query<{ units: number; by_kind: ImpactOfKind[] | null }>(
      // Grouped once, by unit too: counting distinct units apart would sort every row.
      `with ${grouped('c.unit, c.resource, c.kind')},
            kinds as (select resource, kind, sum(n)::bigint as rows from grouped group by resource, kind)
       select (select count(*) from (select from grouped group by unit) u) as units,
              (select jsonb_agg(to_jsonb(kinds) order by rows desc, resource, kind) from kinds) as by_kind`,
      [runs],
    ),
    pool.query<{ first: Date | null; last: Date | null; conflicts: number }>(
      `select min(applied_at) as first, max(applied_at) as last,
              (select count(*) from portcullis_region.conflict where run = any($1)) as conflicts
       from portcullis_region.batch where run = any($1)`,
      [runs],
    ),
    impactByProduct(pool, runs),
    cascadedBy(pool, runs),
  ]);
  const byKind = sums.rows[0]?.by_kind ?? [];
  const { first, last, conflicts } = times.rows[0] ?? { first: null, last: null, conflicts: 0 };
  return {
    units: sums.rows[0]?.units ?? 0,
    rows: byKind.reduce((sum, { rows }) => sum + rows, 0),
    cascaded: byCascade.reduce((sum, { rows }) => sum + rows, 0),
    byKind,
    byCascade,
    byProduct,
    conflicts,
    firstAppliedAt: first?.toISOString() ?? null,
    lastAppliedAt: last?.toISOString() ?? null,
  };
}

/** Every unit that runs changed something for, the most rows first. Streamed: memory stays flat. */
export function impactByUnit(pool: pg.Pool, ...runs: readonly string[]): AsyncGenerator<UnitImpact> {
  return streamRows<UnitImpact>(
    pool,
    `with ${grouped('c.unit, c.resource')}
     select unit, sum(n)::bigint as rows, jsonb_object_agg(resource, n) as "byResource"
     from grouped group by unit order by rows desc, unit`,
    [runs],
  );
}
