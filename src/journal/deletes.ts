import type pg from 'pg';
import type { Resource } from './change.js';
import { quoteTable } from './shape.js';

/**
 * Why rows of a table cannot be deleted and restored exactly: foreign keys that delete or change rows of other tables
 * with them, and triggers.
 */
export async function faultsOfDeletes(pool: pg.Pool, { table }: Resource): Promise<string[]> {
  const { rows } = await pool.query<{ fault: string }>(
    `select format('deleting its rows would %s of %s (constraint %s), which the journal does not keep',
       case confdeltype when 'c' then 'delete rows' else 'change rows' end, conrelid::regclass, conname) as fault
     from pg_constraint
     where confrelid = to_regclass($1) and contype = 'f' and confdeltype in ('c', 'n', 'd')
     union all
     select format('trigger %s runs when its rows are deleted or restored, and what it does is not kept', tgname)
     from pg_trigger
     -- 4: on insert, 8: on delete.
     where tgrelid = to_regclass($1) and not tgisinternal and tgenabled <> 'D' and tgtype & 12 <> 0
     order by 1`,
    [quoteTable(table)],
  );
  return rows.map(({ fault }) => fault);
}
