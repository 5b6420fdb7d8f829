import { z } from 'zod';
import pg from 'pg';
import { inTransaction } from '../postgres/pool.js';
import type { ProductUse } from './change.js';
import { grouped } from './extent.js';
import { faultsOfUse } from './product-use.js';
import { quoteTable } from './shape.js';
import { count } from '../kernel/schema.js';

/** Of the rows that runs changed, those used in one product. A row of two products counts for both. */
export const ProductImpact = z.strictObject({
  product: z.string(),
  rows: count.describe('rows used in it, each once'),
  units: count.describe('units on whose behalf these were changed'),
});
export type ProductImpact = z.infer<typeof ProductImpact>;

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
  return inTransaction(
    pool,
    async (client) => {
      // On disk, what is joined and grouped takes twice as long.
      await client.query(`set local work_mem = '${WORK_MEM}'`);
      const { rows } = await client.query<ProductImpact>(statement(declared, runs), [runs]);
      return rows;
    },
    { readOnly: true },
  );
}

/** Enough for a million changes, whose table takes 77 MB of three processes together. */
const WORK_MEM = '32MB';

function statement(declared: readonly Declared[], runs: readonly string[]): string {
  const several = runs.length > 1;
  return `
    with by_unit as (
      select product, unit, sum(n)::bigint as rows
      from (${usesOf(declared, 'c.unit')}) used
      group by product, unit having sum(n) > 0
    )${several ? again(declared) : ''}
    select product, ${several ? `(sum(rows) - coalesce((select rows from again where again.product = by_unit.product), 0))` : 'sum(rows)'}::bigint as rows,
           count(*) as units
    from by_unit group by product order by rows desc, product collate "C"`;
}

/** How often rows are counted too much by product, because several runs changed them; one run changes a row once. */
function again(declared: readonly Declared[]): string {
  return `, ${grouped('c.resource, c.key')}, repeated as (
      select resource, key from grouped where n > 1
    ), again as (
      select product, sum(times - 1) as rows
      from (select product, resource, key, sum(n) as times
            from (${usesOf(declared, 'c.resource, c.key', 'and (c.resource, c.key) in (select resource, key from repeated)')}) used
            group by product, resource, key having sum(n) > 1) row
      group by product
    )`;
}

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

/**
 * Uses of the rows that the runs $1 changed, counted by `columns` of the change `c` and by product. A key is compared
 * as the journal has it: as its text. As elsewhere, what was applied is counted, and conflicts are taken off.
 */
function usesOf(declared: readonly Declared[], columns: string, narrowed = ''): string {
  return declared
    .flatMap(({ resource, use, runs }) => {
      const product = `u.${pg.escapeIdentifier(use.product)}::text`;
      const used = `
        join ${quoteTable(use.table)} u on u.${pg.escapeIdentifier(use.key)}::text = c.key and ${product} is not null
        where c.resource = ${pg.escapeLiteral(resource)} and c.run in (${runs.map((run) => pg.escapeLiteral(run)).join(', ')}) ${narrowed}`;
      return [
        // "is not true" says <= too, of which it is thought that it leaves a third: then each process groups for itself,
        // where else one would group the rows of all.
        `select ${columns}, ${product} as product, count(*) as n
        from portcullis_region.lane l
        join portcullis_region.change c on c.run = l.run and c.lane = l.lane and (c.seq > l.applied_seq) is not true ${used}
          and l.run = any($1) and c.run = any($1)
        group by ${columns}, ${product}`,
        `select ${columns}, ${product} as product, -count(*)
        from portcullis_region.conflict x
        join portcullis_region.change c using (run, lane, seq) ${used}
          and x.run = any($1)
        group by ${columns}, ${product}`,
      ];
    })
    .join('\n      union all\n      ');
}
