import pg from 'pg';
import type { ProductUse } from './change.js';
import { faultsOfUse } from './product-use.js';
import { quoteTable } from './shape.js';

/** Of the rows that runs changed, those used in one product. A row of two products counts for both. */
export interface ProductImpact {
  readonly product: string;
  /** Rows, each once, however many of the runs changed it. */
  readonly rows: number;
  /** Organisations on whose behalf these were changed, each once. */
  readonly units: number;
}

/** What runs declared of one resource. */
interface Declared {
  readonly resource: string;
  readonly use: ProductUse;
  readonly runs: readonly string[];
}

/**
 * What runs changed by the products that the rows are used in, as it is said now, the most rows first. Needs no
 * job's code: where it is said, each run has kept. Null where no run says, or what it names is not there any more.
 */
export async function impactByProduct(
  pool: pg.Pool,
  runs: readonly string[],
): Promise<readonly ProductImpact[] | null> {
  const declared = await declaredBy(pool, runs);
  if (declared.length === 0) return null;
  const { rows } = await pool.query<ProductImpact>(
    `with applied as (
       select c.run, c.resource, c.key, c.unit
       from portcullis_region.lane l
       join portcullis_region.change c on c.run = l.run and c.lane = l.lane and c.seq <= l.applied_seq
       where l.run = any($1) and c.run = any($1)
         -- Hashed, where "not exists" becomes a nested loop over what is thought to be few rows.
         and (c.run, c.lane, c.seq) not in (
           select run, lane, seq from portcullis_region.conflict where run = any($1))
     ), used as (
       ${declared.map(usesOf).join('\n       union all\n       ')}
     ), by_unit as (
       select product, unit, count(*) as rows from used group by product, unit
     ), again as (
       ${runs.length > 1 ? AGAIN : NEVER_AGAIN}
     )
     select product, (sum(rows) - coalesce((select again.rows from again where again.product = by_unit.product), 0))::bigint as rows,
            count(*) as units
     from by_unit group by product order by rows desc, product collate "C"`,
    [runs],
  );
  return rows;
}

/** How often rows are counted too much by product, because several runs changed them; one run changes a row once. */
const AGAIN = `
       select product, sum(times - 1) as rows
       from (select product, count(*) as times from used group by product, resource, key having count(*) > 1) row
       group by product`;
const NEVER_AGAIN = `select null as product, 0 as rows where false`;

/** Where the runs' resources say that they are used, where that can still be read. */
async function declaredBy(pool: pg.Pool, runs: readonly string[]): Promise<Declared[]> {
  const { rows } = await pool.query<Declared>(
    `select resource, declared -> 'usedIn' as use, array_agg(id) as runs
     from portcullis_region.run, jsonb_each(resources) as each (resource, declared)
     where id = any($1) and declared ? 'usedIn'
     group by resource, use`,
    [runs],
  );
  const readable: Declared[] = [];
  for (const each of rows) if ((await faultsOfUse(pool, each.use)).length === 0) readable.push(each);
  return readable;
}

/** The changes of one resource by product. A key is compared as the journal has it: as its text. */
function usesOf({ resource, use, runs }: Declared): string {
  return `select a.resource, a.key, a.unit, u.${pg.escapeIdentifier(use.product)}::text as product
       from applied a join ${quoteTable(use.table)} u on u.${pg.escapeIdentifier(use.key)}::text = a.key
       where u.${pg.escapeIdentifier(use.product)} is not null and a.resource = ${pg.escapeLiteral(resource)} and a.run in (${runs.map((run) => pg.escapeLiteral(run)).join(', ')})`;
}
