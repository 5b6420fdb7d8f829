import type pg from 'pg';
import { cascadedBy, grouped, type CascadedRows, type Extent } from './extent.js';
import { impactByProduct, type ProductImpact } from './product-impact.js';
import { streamRows } from './stream-rows.js';

/** Rows that a run changed, of one resource and kind. */
export interface ImpactOfKind {
  readonly resource: string;
  readonly kind: string;
  readonly rows: number;
}

/** What runs have changed, in numbers. Conflicts, and what the runs did not get to, are not among the rows. */
export interface Impact extends Extent {
  readonly byKind: readonly ImpactOfKind[];
  /** What went with rows that were deleted, by table. */
  readonly byCascade: readonly CascadedRows[];
  /** Null where nothing says which products the rows are used in. */
  readonly byProduct: readonly ProductImpact[] | null;
  /** Changes that were left out because their rows were not as planned. */
  readonly conflicts: number;
  /** When the first and the last change committed: ISO 8601 in UTC; null where none did. */
  readonly firstAppliedAt: string | null;
  readonly lastAppliedAt: string | null;
}

/** What a run has changed on behalf of one unit. */
export interface UnitImpact {
  readonly unit: string;
  readonly rows: number;
  /** Rows by resource: `{"account": 12, "domain": 1}`. */
  readonly byResource: Readonly<Record<string, number>>;
}

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
