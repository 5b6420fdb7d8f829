import type pg from 'pg';

/**
 * The columns of a table as it is now; none where there is no such table. For what must work on an older schema too,
 * which lacks what came later.
 */
export async function columnsOf(
  client: pg.Pool | pg.PoolClient,
  table: string,
): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ name: string }>(
    `select attname::text as name from pg_attribute
     where attrelid = to_regclass($1) and attnum > 0 and not attisdropped`,
    [table],
  );
  return new Set(rows.map(({ name }) => name));
}
