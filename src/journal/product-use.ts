import type pg from 'pg';
import type { ProductUse } from './change.js';
import { quoteTable } from './shape.js';

/** What is wrong with a declaration of where rows are used, as the pool's login sees the database; nothing: []. */
export async function faultsOfUse(pool: pg.Pool, use: ProductUse): Promise<string[]> {
  const { rows } = await pool.query<{ name: string; readable: boolean; once: boolean }>(
    `select attname as name, has_column_privilege(attrelid, attnum, 'select') as readable,
       exists (select from pg_index i
               where i.indrelid = attrelid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
                 and i.indnkeyatts = 2
                 and (select array_agg(k.attname order by k.attname) from pg_attribute k
                      where k.attrelid = i.indrelid and k.attnum in (i.indkey[0], i.indkey[1]))
                   = (select array_agg(name order by name) from unnest($2::name[]) name)) as once
     from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped`,
    [quoteTable(use.table), [use.key, use.product]],
  );
  if (rows.length === 0) return [`there is no table ${use.table} to say which products it is used in`];
  const faults = [use.key, use.product].flatMap((column) => {
    const found = rows.find(({ name }) => name === column);
    if (!found) return [`there is no column ${column} in ${use.table}`];
    return found.readable ? [] : [`column ${column} of ${use.table} may not be read`];
  });
  if (faults.length > 0 || rows.some(({ once }) => once)) return faults;
  return [`${use.key} and ${use.product} have no unique index in ${use.table}`];
}
