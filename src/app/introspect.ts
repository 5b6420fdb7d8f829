import type pg from 'pg';
import { readInstalled } from '../postgres/migrate.js';
import { inTransaction } from '../postgres/pool.js';

/** A column of somebody's table. */
export interface ColumnFacts {
  readonly name: string;
  /** As SQL writes it; of a domain, its base type. */
  readonly type: string;
  readonly notNull: boolean;
  /** The default's expression; null: none, or one that names a sequence of its own. */
  readonly default: string | null;
  /** The database makes its value: an identity, a sequence, or a generated column. */
  readonly made: 'identity' | 'generated' | null;
  /** The values of an enum; null for every other type. */
  readonly values: readonly string[] | null;
  /** The table that a foreign key of this column alone refers to. */
  readonly references: { readonly table: string; readonly column: string } | null;
}

/** A table of somebody's, with what a job must know of it. */
export interface TableFacts {
  /** Schema-qualified. */
  readonly table: string;
  /** The column of its primary key; null where that has none or several. */
  readonly key: string | null;
  readonly columns: readonly ColumnFacts[];
}

/** Reads the tables of a database, but Portcullis' own. Writes nothing. */
export function readTableFacts(database: pg.Pool): Promise<TableFacts[]> {
  return inTransaction(
    database,
    async (client) => {
      const { rows } = await client.query<TableFacts>(
        `
        select n.nspname || '.' || c.relname as table,
          (select a.attname from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
           where i.indrelid = c.oid and i.indisprimary and i.indnkeyatts = 1) as key,
          (select jsonb_agg(jsonb_build_object(
             'name', a.attname,
             'type', format_type(case when t.typtype = 'd' then t.typbasetype else t.oid end,
                                 case when t.typtype = 'd' then t.typtypmod else a.atttypmod end),
             'notNull', a.attnotnull,
             'default', case when a.attidentity = '' and a.attgenerated = '' and pg_get_expr(d.adbin, d.adrelid) !~* '^nextval'
                             then pg_get_expr(d.adbin, d.adrelid) end,
             'made', case when a.attgenerated <> '' then 'generated'
                          when a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) ~* '^nextval' then 'identity' end,
             'values', (select jsonb_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
             'references', (select jsonb_build_object('table', fn.nspname || '.' || fc.relname, 'column', fa.attname)
                from pg_constraint k join pg_class fc on fc.oid = k.confrelid join pg_namespace fn on fn.oid = fc.relnamespace
                join pg_attribute fa on fa.attrelid = fc.oid and fa.attnum = k.confkey[1]
                where k.conrelid = c.oid and k.contype = 'f' and k.conkey = array[a.attnum] limit 1))
             order by a.attnum)
           from pg_attribute a join pg_type t on t.oid = a.atttypid
           left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^(pg_|portcullis_)'
          and n.nspname <> 'information_schema' and n.nspname <> all ($1)
        order by 1`,
        [(await readInstalled(client)).flatMap(({ schemas }) => schemas)],
      );
      return rows;
    },
    { isolation: 'repeatable read', readOnly: true },
  );
}
