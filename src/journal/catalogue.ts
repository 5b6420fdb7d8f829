import type pg from 'pg';

/** What the database's catalogue says of a table. Names are as they are, not quoted, but for `table` and what references it. */
export interface TableFacts {
  /** As it was asked for, quoted. */
  readonly asked: string;
  /** Schema and name, quoted where they must be. */
  readonly table: string;
  /** PostgreSQL's `relkind`: r, a table; p, a partitioned one; v, m and f, a view, a materialised one, a foreign table. */
  readonly kind: string;
  /** Whether it, and every partition of it, is kept through a crash. */
  readonly logged: boolean;
  /** Tables that inherit from it, other than partitions. */
  readonly heirs: readonly string[];
  /** Partitions that are in another server's hands. */
  readonly foreign: readonly string[];
  readonly rules: readonly string[];
  readonly columns: readonly ColumnFacts[];
  readonly uniques: readonly UniqueFacts[];
  readonly triggers: readonly TriggerFacts[];
  /** Foreign keys to it that delete or change other rows when a row of it is deleted, or its referenced columns change. */
  readonly cascading: readonly CascadingKey[];
  /** Its own foreign keys: what its rows reference. */
  readonly references: readonly Reference[];
  /** What it asks of each row besides. */
  readonly demands: readonly Demand[];
}

/** A unique index, or an exclusion or check constraint. */
export interface Demand {
  readonly kind: 'unique' | 'exclusion' | 'check';
  readonly name: string;
  /** What of a row is compared with others', each with its operator; of a check constraint its expression. Columns are named alone. */
  readonly parts: readonly { readonly sql: string; readonly operator: string }[];
  /** The rows that it is for, in SQL; null: all. */
  readonly where: string | null;
  /** Whether two nulls are the same. */
  readonly nullsEqual: boolean;
  /** The columns that it reads. */
  readonly columns: readonly string[];
}

export interface ColumnFacts {
  readonly name: string;
  readonly cast: string;
  readonly fitted: string | null;
  readonly byText: boolean;
  /** Computed by the database from other columns. */
  readonly generated: boolean;
  readonly nullable: boolean;
  /** What it is where nothing is given, in SQL: a default, or the next value of its identity. */
  readonly draws: string | null;
  /** The sequence that `draws` takes its values from. */
  readonly sequence: string | null;
  /** Whether it decides which partition a row is in. */
  readonly places: boolean;
  /** What the database computes it from, in SQL; null: it is given. */
  readonly computed: string | null;
  /** Whether who asks may read it. */
  readonly readable: boolean;
}

export interface UniqueFacts {
  readonly name: string;
  readonly columns: readonly string[];
  /** Whether it holds for all rows, and for columns alone. */
  readonly total: boolean;
  readonly deferrable: boolean;
  /** An exclusion constraint. */
  readonly exclusion: boolean;
}

export type TriggerEvent = 'insert' | 'update' | 'delete';

export interface TriggerFacts {
  readonly name: string;
  readonly before: boolean;
  readonly forEachRow: boolean;
  readonly events: readonly TriggerEvent[];
  /** The columns whose setting fires it; none: any. */
  readonly of: readonly string[];
  readonly deferred: boolean;
  /** The columns that its function sets, as far as its text tells; null where it cannot be told. */
  readonly sets: readonly string[] | null;
}

export interface CascadingKey {
  readonly constraint: string;
  /** The table whose rows go or change with the referenced ones, quoted. */
  readonly table: string;
  readonly columns: readonly string[];
  readonly referenced: readonly string[];
  readonly onDelete: Cascade | null;
  readonly onUpdate: Cascade | null;
  /** The columns that `on delete set …` sets. */
  readonly sets: readonly string[];
}

export interface Reference {
  readonly constraint: string;
  readonly columns: readonly string[];
  /** The table that it references, quoted. */
  readonly table: string;
  readonly referenced: readonly string[];
  /** Whether who asks may read the referenced columns, of every row. */
  readonly readable: boolean;
}

export type Cascade = 'cascade' | 'set null' | 'set default';

/** Types of which two values that are equal are the same to the last byte. */
const EQUAL_IS_SAME =
  '{boolean,smallint,integer,bigint,text,character varying,uuid,date,timestamp,timestamptz,bytea}';

const names = (from: string): string => `(select coalesce(jsonb_agg(${from}), '[]')`;

const COLUMNS = `
  select jsonb_agg(jsonb_build_object(
    'name', a.attname,
    'cast', format('%I.%I', tn.nspname, ty.typname),
    'fitted', case when a.atttypmod <> -1 then format_type(a.atttypid, a.atttypmod) end,
    'byText', not (ty.typtype = 'e' or ty.oid = any ($2::regtype[]) and coalesce(l.collisdeterministic, true)),
    'generated', a.attgenerated <> '',
    'nullable', not a.attnotnull,
    'draws', case when a.attgenerated <> '' then null
                  when a.attidentity <> '' then format('nextval(%L::regclass)', pg_get_serial_sequence(format('%I.%I', n.nspname, t.relname), a.attname))
                  else pg_get_expr(d.adbin, d.adrelid) end,
    'sequence', coalesce(pg_get_serial_sequence(format('%I.%I', n.nspname, t.relname), a.attname), (
      select format('%I.%I', sn.nspname, s.relname)
      from pg_depend p join pg_class s on s.oid = p.refobjid and s.relkind = 'S' join pg_namespace sn on sn.oid = s.relnamespace
      where p.classid = 'pg_attrdef'::regclass and p.objid = d.oid and p.refclassid = 'pg_class'::regclass limit 1)),
    'places', exists (select from pg_partitioned_table pt where pt.partrelid = any (m.members)
                        and (pt.partexprs is not null or exists (
                          select from pg_attribute pa where pa.attrelid = pt.partrelid and pa.attname = a.attname
                            and pa.attnum = any (pt.partattrs)))),
    'computed', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end,
    'readable', has_column_privilege(a.attrelid, a.attnum, 'select')
  ) order by a.attnum)
  from pg_attribute a
  join pg_type ty on ty.oid = a.atttypid
  join pg_namespace tn on tn.oid = ty.typnamespace
  left join pg_collation l on l.oid = a.attcollation
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped`;

const UNIQUES = `
  select jsonb_agg(jsonb_build_object(
    'name', (select ic.relname from pg_class ic where ic.oid = i.indexrelid),
    'columns', ${names('a.attname order by k.at')}
       from unnest(i.indkey::int2[]) with ordinality k (attnum, at)
       join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
       where k.at <= i.indnkeyatts),
    'total', i.indpred is null and i.indexprs is null,
    'deferrable', not i.indimmediate,
    'exclusion', i.indisexclusion
  ) order by i.indexrelid)
  from pg_index i
  where i.indrelid = t.oid and (i.indisunique or i.indisexclusion) and i.indisvalid`;

/** `new.column := …`, and `new.column = …` where a statement begins. */
const ASSIGNED = String.raw`'\mnew\s*\.\s*("([^"]+)"|\w+)\s*:=|(?:;|\mthen\M|\melse\M|\mbegin\M|\mloop\M)\s*new\s*\.\s*("([^"]+)"|\w+)\s*='`;

/** A trigger on a partitioned table is repeated on each of its partitions. 1: each row, 2: before, 4, 8, 16: its events. */
const TRIGGERS = `
  select jsonb_agg(jsonb_build_object(
    'name', g.tgname,
    'before', g.tgtype & 2 <> 0,
    'forEachRow', g.tgtype & 1 <> 0,
    'events', (select jsonb_agg(e.event) from (values (4, 'insert'), (8, 'delete'), (16, 'update')) e (bit, event)
               where g.tgtype & e.bit <> 0),
    'of', ${names('a.attname order by a.attnum')} from pg_attribute a
           where a.attrelid = g.tgrelid and a.attnum = any (g.tgattr::int2[])),
    'deferred', g.tgdeferrable,
    'sets', case when l.lanname = 'plpgsql' and f.prosrc !~* '\\mnew\\s*(:?=|\\()|\\minto\\s+new\\M|\\mexecute\\M'
      then (select coalesce(jsonb_agg(distinct coalesce(found[2], lower(found[1]), found[4], lower(found[3]))), '[]')
            from regexp_matches(f.prosrc, ${ASSIGNED}, 'gi') found) end
  ) order by g.tgname)
  from pg_trigger g
  join pg_proc f on f.oid = g.tgfoid
  join pg_language l on l.oid = f.prolang
  where g.tgrelid = any (m.members) and not g.tgisinternal and g.tgparentid = 0 and g.tgenabled in ('O', 'A')
    and g.tgtype & 28 <> 0`;

/** The names of a constraint's columns, in its order. */
const columnsOf = (key: string, table: string): string =>
  `${names('a.attname order by k.at')} from unnest(${key}) with ordinality k (attnum, at)
      join pg_attribute a on a.attrelid = ${table} and a.attnum = k.attnum)`;

const ACTION = (code: string): string =>
  `case ${code} when 'c' then 'cascade' when 'n' then 'set null' when 'd' then 'set default' end`;

/** What references a partitioned table is repeated for each of its partitions, and in each partition that references. */
const CASCADING = `
  select jsonb_agg(jsonb_build_object(
    'constraint', c.conname,
    'table', format('%I.%I', cn.nspname, ct.relname),
    'columns', ${columnsOf('c.conkey', 'c.conrelid')},
    'referenced', ${columnsOf('c.confkey', 'c.confrelid')},
    'onDelete', ${ACTION('c.confdeltype')},
    'onUpdate', ${ACTION('c.confupdtype')},
    'sets', ${names('a.attname order by a.attnum')} from pg_attribute a where a.attrelid = c.conrelid
      and to_jsonb(a.attnum) <@ case when jsonb_typeof(to_jsonb(c) -> 'confdelsetcols') = 'array'
        then to_jsonb(c) -> 'confdelsetcols' else to_jsonb(c.conkey) end)
  ) order by ct.relname, c.conname)
  from pg_constraint c
  join pg_class ct on ct.oid = c.conrelid
  join pg_namespace cn on cn.oid = ct.relnamespace
  where c.contype = 'f' and c.confrelid = any (m.members) and c.conparentid = 0
    and (c.confdeltype in ('c', 'n', 'd') or c.confupdtype in ('c', 'n', 'd'))`;

/** One to a partitioned table is repeated for each of its partitions. One that is not enforced (PostgreSQL 18) asks nothing. */
const REFERENCES = `
  select jsonb_agg(jsonb_build_object(
    'constraint', c.conname,
    'table', format('%I.%I', pn.nspname, pt.relname),
    'columns', ${columnsOf('c.conkey', 'c.conrelid')},
    'referenced', ${columnsOf('c.confkey', 'c.confrelid')},
    'readable', has_schema_privilege(pn.oid, 'usage') and not row_security_active(c.confrelid)
      and (select bool_and(has_column_privilege(c.confrelid, k, 'select')) from unnest(c.confkey) k)
  ) order by c.conname)
  from pg_constraint c
  join pg_class pt on pt.oid = c.confrelid
  join pg_namespace pn on pn.oid = pt.relnamespace
  where c.contype = 'f' and c.conrelid = t.oid and c.conparentid = 0
    and coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'`;

/** A constraint that is not enforced (PostgreSQL 18) asks nothing. A column may be read by the index, or by the constraint whose index it is. */
const DEMANDS = `
  select jsonb_agg(demand order by demand ->> 'name') from (
    select jsonb_build_object(
      'kind', case when i.indisexclusion then 'exclusion' else 'unique' end,
      'name', (select ic.relname from pg_class ic where ic.oid = i.indexrelid),
      'parts', (select jsonb_agg(jsonb_build_object(
          'sql', pg_get_indexdef(i.indexrelid, k, true),
          'operator', coalesce((select format('operator(%I.%s)', opn.nspname, o.oprname)
            from pg_constraint x join pg_operator o on o.oid = x.conexclop[k] join pg_namespace opn on opn.oid = o.oprnamespace
            where x.conindid = i.indexrelid and x.contype <> 'f'), '=')) order by k)
        from generate_series(1, i.indnkeyatts::integer) k),
      'where', pg_get_expr(i.indpred, i.indrelid),
      'nullsEqual', coalesce(to_jsonb(i) ->> 'indnullsnotdistinct', 'false') = 'true',
      'columns', ${names('distinct a.attname')} from pg_attribute a
        where a.attrelid = i.indrelid and a.attnum > 0 and (a.attnum = any (i.indkey::int2[]) or exists (
          select from pg_depend d where d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid = a.attnum
            and (d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
              or d.classid = 'pg_constraint'::regclass and d.objid in (
                select x.oid from pg_constraint x where x.conindid = i.indexrelid and x.contype <> 'f')))))
    ) as demand
    from pg_index i
    where i.indrelid = t.oid and (i.indisunique or i.indisexclusion) and i.indisvalid
    union all
    select jsonb_build_object(
      'kind', 'check', 'name', c.conname, 'where', null, 'nullsEqual', false,
      'parts', jsonb_build_array(jsonb_build_object('sql', pg_get_expr(c.conbin, c.conrelid), 'operator', '')),
      'columns', ${columnsOf('c.conkey', 'c.conrelid')})
    from pg_constraint c
    where c.contype = 'c' and c.conrelid = t.oid and coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'
  ) asked (demand)`;

const FACTS = `
  select w.asked, format('%I.%I', n.nspname, t.relname) as "table", t.relkind::text as kind,
    not exists (select from pg_class p where p.oid = any (m.members) and p.relpersistence <> 'p') as logged,
    ${names('h.inhrelid::regclass::text order by h.inhrelid')} from pg_inherits h join pg_class c on c.oid = h.inhrelid
      where h.inhparent = t.oid and not c.relispartition) as heirs,
    ${names('p.oid::regclass::text order by p.oid')} from pg_class p where p.oid = any (m.members) and p.relkind = 'f'
      and p.oid <> t.oid) as foreign,
    ${names('r.rulename order by r.rulename')} from pg_rewrite r where r.ev_class = t.oid and r.rulename <> '_RETURN'
      and r.ev_type <> '1' and r.ev_enabled in ('O', 'A')) as rules,
    coalesce((${COLUMNS}), '[]') as columns,
    coalesce((${UNIQUES}), '[]') as uniques,
    coalesce((${TRIGGERS}), '[]') as triggers,
    coalesce((${CASCADING}), '[]') as cascading,
    coalesce((${REFERENCES}), '[]') as "references",
    coalesce((${DEMANDS}), '[]') as demands
  from unnest($1::text[]) w (asked)
  join pg_class t on t.oid = to_regclass(w.asked)
  join pg_namespace n on n.oid = t.relnamespace
  cross join lateral (
    select array(select relid::oid from pg_partition_tree(t.oid)) || t.oid as members
  ) m`;

/** What the catalogue says of tables, by the quoted name that was asked for. A table that is not there is absent. */
export async function readFacts(
  database: pg.Pool | pg.PoolClient,
  tables: Iterable<string>,
): Promise<Map<string, TableFacts>> {
  const { rows } = await database.query<TableFacts>(FACTS, [[...new Set(tables)], EQUAL_IS_SAME]);
  return new Map(rows.map((facts) => [facts.asked, facts]));
}
