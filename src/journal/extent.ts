import type pg from 'pg';

/** How much was changed, as {@link Impact} has it: without conflicts, and without what runs did not get to. */
export interface Extent {
  /** Units on whose behalf at least one row was changed, each once. */
  readonly units: number;
  readonly rows: number;
  /** Rows of other tables that the database deleted, or changed, with rows that were deleted. */
  readonly cascaded: number;
}

/**
 * Rows that the runs $1 changed, grouped by `columns` of the change `c`, as rows of `grouped`. What was applied is
 * counted, and conflicts are taken off: to look for a conflict of each row would take longer than the rest.
 */
export function grouped(columns: string): string {
  const names = columns.replaceAll('c.', '');
  return `grouped as (
    select ${names}, sum(n)::bigint as n
    from (
      select ${columns}, count(*) as n
      from portcullis_region.lane l
      join portcullis_region.change c on c.run = l.run and c.lane = l.lane and c.seq <= l.applied_seq
      where l.run = any($1) and c.run = any($1)
      group by ${columns}
      union all
      select ${columns}, -count(*)
      from portcullis_region.conflict x
      join portcullis_region.change c using (run, lane, seq)
      where x.run = any($1)
      group by ${columns}
    ) counted
    group by ${names}
    having sum(n) > 0)`;
}

/** The extent of runs together, for whoever needs no more of their impact. */
export async function extentOf(pool: pg.Pool, runs: readonly string[]): Promise<Extent> {
  const { rows } = await pool.query<Extent>(
    `with ${grouped('c.unit')}
     select count(*) as units, coalesce(sum(n), 0)::bigint as rows, 0 as cascaded from grouped`,
    [runs],
  );
  const [found = { units: 0, rows: 0, cascaded: 0 }] = rows;
  const byTable = await cascadedBy(pool, runs);
  return { ...found, cascaded: byTable.reduce((sum, each) => sum + each.rows, 0) };
}

/** Rows of a table that went with rows that runs deleted. */
export interface CascadedRows {
  readonly table: string;
  readonly rows: number;
}

/** What went with the rows that runs deleted, by table, the most first. Of a run before cascades were kept: nothing. */
export async function cascadedBy(pool: pg.Pool, runs: readonly string[]): Promise<CascadedRows[]> {
  const { rows: there } = await pool.query<{ there: boolean }>(
    `select to_regclass('portcullis_region.cascaded') is not null as there`,
  );
  if (there[0]?.there !== true) return [];
  const { rows } = await pool.query<CascadedRows>(
    `select d."table", count(*) as rows from portcullis_region.cascaded d
     where d.run = any($1)
       and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (d.run, d.lane, d.seq))
     group by d."table" order by rows desc, d."table"`,
    [runs],
  );
  return rows;
}

/** How many changes of runs their lanes have passed, conflicts among them. It rises with each batch, and never falls. */
export async function reachedBy(pool: pg.Pool, runs: readonly string[]): Promise<number> {
  const { rows } = await pool.query<{ reached: number }>(
    `select coalesce(sum(applied_seq), 0)::bigint as reached from portcullis_region.lane where run = any($1)`,
    [runs],
  );
  return rows[0]?.reached ?? 0;
}
