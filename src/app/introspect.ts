import type pg from 'pg';
import { readInstalled } from '../postgres/migrate.js';
import { inTransaction } from '../postgres/pool.js';

/** A column of somebody's table. Names in expressions are schema-qualified. */
export interface ColumnFacts {
  readonly name: string;
  /** As SQL writes it; of a domain, its base type. */
  readonly type: string;
  readonly notNull: boolean;
  /** The default's expression, or that of a generated column. */
  readonly default: string | null;
  readonly made: 'identity' | 'identity always' | 'sequence' | 'generated' | null;
  /** The sequence that its default draws from, quoted. */
  readonly sequence: string | null;
  /** The values of an enum; null for every other type. */
  readonly values: readonly string[] | null;
  /** The table that a foreign key of this column alone refers to. */
  readonly references: { readonly table: string; readonly column: string } | null;
}

/** A table of somebody's, with what a job must know of it. */
export interface TableFacts {
  /** Schema-qualified. */
  readonly table: string;
  /** The columns of its primary key, or else of a unique index without nulls; none: nothing identifies its rows. */
  readonly key: readonly string[];
  readonly columns: readonly ColumnFacts[];
  /** As `partition by` has it. */
  readonly partitions: string | null;
  /** How many partitions a hash makes. */
  readonly hashed: number;
  /** Whether row-level security may hide rows. */
  readonly secured: boolean;
  readonly foreignKeys: readonly ForeignKeyFacts[];
  readonly triggers: readonly TriggerFacts[];
}

export interface ForeignKeyFacts {
  readonly columns: readonly string[];
  readonly table: string;
  readonly referenced: readonly string[];
  /** As SQL writes it. */
  readonly definition: string;
}

export interface TriggerFacts {
  readonly name: string;
  /** As SQL makes them. */
  readonly definition: string;
  readonly functionDefinition: string;
  /** The schema of its function, and the function's text; null where that is not written in SQL or PL/pgSQL. */
  readonly schema: string;
  readonly source: string | null;
  /** Whether it runs with the rights of its owner. */
  readonly definer: boolean;
  /** Whether an extension, or PostgreSQL itself, brings its function. */
  readonly brought: boolean;
}

const COLUMNS = `
  select jsonb_agg(jsonb_build_object(
    'name', a.attname,
    'type', format_type(case when t.typtype = 'd' then t.typbasetype else t.oid end,
                        case when t.typtype = 'd' then t.typtypmod else a.atttypmod end),
    'notNull', a.attnotnull,
    'default', pg_get_expr(d.adbin, d.adrelid),
    'made', case when a.attgenerated <> '' then 'generated'
                 when a.attidentity = 'a' then 'identity always'
                 when a.attidentity <> '' then 'identity'
                 when pg_get_expr(d.adbin, d.adrelid) ~* '^nextval' then 'sequence' end,
    'sequence', (select format('%I.%I', sn.nspname, s.relname)
       from pg_depend p join pg_class s on s.oid = p.refobjid and s.relkind = 'S' join pg_namespace sn on sn.oid = s.relnamespace
       where p.classid = 'pg_attrdef'::regclass and p.objid = d.oid and p.refclassid = 'pg_class'::regclass limit 1),
    'values', (select jsonb_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
    'references', (select jsonb_build_object('table', fn.nspname || '.' || fc.relname, 'column', fa.attname)
       from pg_constraint k join pg_class fc on fc.oid = k.confrelid join pg_namespace fn on fn.oid = fc.relnamespace
       join pg_attribute fa on fa.attrelid = fc.oid and fa.attnum = k.confkey[1]
       where k.conrelid = c.oid and k.contype = 'f' and k.conkey = array[a.attnum] limit 1))
    order by a.attnum)
  from pg_attribute a join pg_type t on t.oid = a.atttypid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped`;

const namesOf = (table: string, numbers: string): string =>
  `(select jsonb_agg(a.attname order by x.at) from unnest(${numbers}) with ordinality x (attnum, at)
    join pg_attribute a on a.attrelid = ${table} and a.attnum = x.attnum)`;

/** What references a partitioned table, or fires on it, is repeated for each partition: only the first counts. */
const FOREIGN_KEYS = `
  select jsonb_agg(jsonb_build_object(
    'columns', ${namesOf('k.conrelid', 'k.conkey')}, 'table', fn.nspname || '.' || fc.relname,
    'referenced', ${namesOf('k.confrelid', 'k.confkey')}, 'definition', pg_get_constraintdef(k.oid)) order by k.conname)
  from pg_constraint k join pg_class fc on fc.oid = k.confrelid join pg_namespace fn on fn.oid = fc.relnamespace
  where k.conrelid = c.oid and k.contype = 'f' and k.conparentid = 0`;

const TRIGGERS = `
  select jsonb_agg(jsonb_build_object(
    'name', g.tgname, 'definition', pg_get_triggerdef(g.oid), 'functionDefinition', pg_get_functiondef(f.oid),
    'schema', fn.nspname, 'source', case when l.lanname in ('sql', 'plpgsql') then f.prosrc end, 'definer', f.prosecdef,
    'brought', fn.nspname = 'pg_catalog' or exists (select from pg_depend p where p.objid = f.oid and p.deptype = 'e'))
    order by g.tgname)
  from pg_trigger g join pg_proc f on f.oid = g.tgfoid join pg_language l on l.oid = f.prolang
  join pg_namespace fn on fn.oid = f.pronamespace
  where g.tgrelid = c.oid and not g.tgisinternal and g.tgparentid = 0 and g.tgenabled in ('O', 'A')`;

const TABLES = `
  select n.nspname || '.' || c.relname as table,
    coalesce((select ${namesOf('i.indrelid', 'i.indkey::int2[]')} from pg_index i
       where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
         and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum = any (i.indkey::int2[]) and not a.attnotnull)
       order by i.indisprimary desc, i.indnkeyatts, i.indexrelid limit 1), '[]') as key,
    (${COLUMNS}) as columns,
    case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end as partitions,
    (select count(*)::int from pg_partitioned_table p join pg_inherits h on h.inhparent = p.partrelid
     where p.partrelid = c.oid and p.partstrat = 'h') as hashed,
    c.relrowsecurity as secured,
    coalesce((${FOREIGN_KEYS}), '[]') as "foreignKeys",
    coalesce((${TRIGGERS}), '[]') as triggers
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^(pg_|portcullis_)'
    and n.nspname <> 'information_schema' and n.nspname <> all ($1)
  order by 1`;

/** Reads the tables of a database, but Portcullis' own. Writes nothing. */
export function readTableFacts(database: pg.Pool): Promise<TableFacts[]> {
  return inTransaction(
    database,
    async (client) => {
      const installed = await readInstalled(client);
      // So every name is printed with its schema.
      await client.query(`set local search_path to ''`);
      return (await client.query<TableFacts>(TABLES, [installed.flatMap(({ schemas }) => schemas)])).rows;
    },
    { isolation: 'repeatable read', readOnly: true },
  );
}
