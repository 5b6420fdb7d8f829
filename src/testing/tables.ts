import type pg from 'pg';
import { quoteTable } from '../journal/shape.js';
import type { Tables, TableState } from './contract.js';

/** The state of every table but Portcullis' own. Partitions count as rows of their parent. */
export async function readTables(owner: pg.Pool): Promise<Tables> {
  const { rows } = await owner.query<{ schema: string; name: string }>(
    `select n.nspname as schema, c.relname as name
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
       and n.nspname !~ '^(pg_|portcullis_)' and n.nspname <> 'information_schema'
     order by 1, 2`,
  );
  const tables: Record<string, TableState> = {};
  for (const { schema, name } of rows) {
    const { rows: states } = await owner.query<TableState>(
      `select count(*) as rows, coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') as checksum
       from ${quoteTable(`${schema}.${name}`)} t`,
    );
    if (states[0]) tables[`${schema}.${name}`] = states[0];
  }
  return tables;
}

/** In words, each table that is not as it was. */
export function differences(before: Tables, now: Tables): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort();
  return names.flatMap((name) => {
    const [was, is] = [before[name], now[name]];
    if (was?.checksum === is?.checksum) return [];
    if (was === undefined) return [`${name}: the table was not there before`];
    if (is === undefined) return [`${name}: the table is gone`];
    return [
      was.rows === is.rows
        ? `${name}: other values in its ${is.rows} rows`
        : `${name}: ${was.rows} rows before, ${is.rows} now`,
    ];
  });
}
