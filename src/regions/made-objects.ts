import pg from 'pg';
import { inTransaction } from '../postgres/pool.js';

/** How long counting a table's rows may take; longer, and the database's statistics say about how many. */
const COUNT_MS = 5_000;

/** A schema that Portcullis or a job's migrations made. */
export interface MadeSchema {
  readonly name: string;
  /** Whose tables these are; null: Portcullis' own. */
  readonly job: string | null;
  readonly tables: readonly TableRows[];
}

export interface TableRows {
  readonly name: string;
  readonly rows: number;
  /** Whether they were counted. */
  readonly exact: boolean;
}

/** What is in the journal that an uninstall drops. */
export interface JournalKept {
  readonly runs: number;
  readonly changes: number;
}

/** Schemas with their tables, counted, in the order of the names. */
export async function readSchemas(
  owner: pg.Pool,
  names: readonly string[],
): Promise<Omit<MadeSchema, 'job'>[]> {
  const { rows } = await owner.query<{ name: string; tables: { name: string; about: number }[] }>(
    `select n.nspname as name, coalesce(jsonb_agg(jsonb_build_object('name', c.relname, 'about', greatest(c.reltuples, 0)::bigint)
         order by c.relname) filter (where c.oid is not null), '[]') as tables
     from pg_namespace n left join pg_class c on c.relnamespace = n.oid and c.relkind = 'r'
     where n.nspname = any ($1) group by n.nspname order by array_position($1, n.nspname::text)`,
    [names],
  );
  const found: Omit<MadeSchema, 'job'>[] = [];
  for (const { name, tables } of rows) {
    const counted: TableRows[] = [];
    for (const table of tables) {
      const n = await countedRows(owner, name, table.name);
      counted.push({ name: table.name, rows: n ?? table.about, exact: n !== undefined });
    }
    found.push({ name, tables: counted });
  }
  return found;
}

/** Undefined where that takes too long, or somebody has the table locked. */
async function countedRows(owner: pg.Pool, schema: string, table: string): Promise<number | undefined> {
  try {
    return await inTransaction(owner, async (client) => {
      await client.query(
        `select set_config('statement_timeout', $1, true), set_config('lock_timeout', '500ms', true)`,
        [`${COUNT_MS}ms`],
      );
      const { rows } = await client.query<{ n: number }>(
        `select count(*) as n from ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(table)}`,
      );
      return rows[0]?.n;
    });
  } catch (error) {
    if (!/^(57014|55P03)$/.test(String((error as { code?: unknown }).code))) throw error;
    return undefined;
  }
}

/** The runs that have changed rows, and of how many changes. */
export async function readJournal(owner: pg.Pool, schemas: readonly string[]): Promise<JournalKept> {
  if (!schemas.includes('portcullis_region')) return { runs: 0, changes: 0 };
  const { rows } = await owner.query<JournalKept>(
    `select count(distinct run)::integer as runs, coalesce(sum(applied_seq), 0)::bigint as changes
     from portcullis_region.lane where applied_seq > 0`,
  );
  return rows[0] ?? { runs: 0, changes: 0 };
}

/** What somebody made that hangs on what is dropped: the database would drop it too. */
const DEPENDENTS = `
  with ours as (select oid, nspname from pg_namespace where nspname = any ($1)),
  held as (
    select 'pg_class'::regclass as classid, c.oid from pg_class c join ours on ours.oid = c.relnamespace
    union all select 'pg_proc'::regclass, p.oid from pg_proc p join ours on ours.oid = p.pronamespace
    union all select 'pg_type'::regclass, t.oid from pg_type t join ours on ours.oid = t.typnamespace
  ), hanging as (
    select d.classid, d.objid, d.refclassid, d.refobjid,
      case d.classid
        when 'pg_class'::regclass then (select relnamespace from pg_class where oid = d.objid)
        when 'pg_proc'::regclass then (select pronamespace from pg_proc where oid = d.objid)
        when 'pg_type'::regclass then (select typnamespace from pg_type where oid = d.objid)
        when 'pg_constraint'::regclass then (select connamespace from pg_constraint where oid = d.objid)
        when 'pg_rewrite'::regclass then (select c.relnamespace from pg_rewrite r join pg_class c on c.oid = r.ev_class where r.oid = d.objid)
        when 'pg_trigger'::regclass then (select c.relnamespace from pg_trigger t join pg_class c on c.oid = t.tgrelid where t.oid = d.objid)
        when 'pg_attrdef'::regclass then (select c.relnamespace from pg_attrdef a join pg_class c on c.oid = a.adrelid where a.oid = d.objid)
        when 'pg_policy'::regclass then (select c.relnamespace from pg_policy p join pg_class c on c.oid = p.polrelid where p.oid = d.objid)
      end as space
    from pg_depend d join held on held.classid = d.refclassid and held.oid = d.refobjid
    where d.deptype in ('n', 'a')
  )
  select pg_describe_object(classid, objid, 0) || ' depends on ' || min(pg_describe_object(refclassid, refobjid, 0)) as what
  from hanging where space is null or space not in (select oid from ours) group by classid, objid order by 1 limit 20`;

/** Each as a sentence with what to do. */
export async function dependents(owner: pg.Pool, schemas: readonly string[]): Promise<string[]> {
  const { rows } = await owner.query<{ what: string }>(DEPENDENTS, [schemas]);
  return rows.map(({ what }) => `${what}, and would be dropped with it: drop or alter it first`);
}

/** What our roles own outside of what is dropped, or may do in another database. */
export async function rightsElsewhere(
  owner: pg.Pool,
  roles: readonly string[],
  schemas: readonly string[],
): Promise<string[]> {
  const { rows } = await owner.query<{ what: string }>(
    `select distinct case
         when s.dbid not in (0, here.oid) then format('the role %s has rights or objects in the database %s', r.rolname, other.datname)
         else format('the role %s owns %s', r.rolname, pg_describe_object(s.classid, s.objid, 0)) end as what
     from pg_shdepend s join pg_roles r on r.oid = s.refobjid and s.refclassid = 'pg_authid'::regclass
     join pg_database here on here.datname = current_database()
     left join pg_database other on other.oid = s.dbid
     where r.rolname = any ($1)
       and (s.dbid not in (0, here.oid)
         or (s.dbid = here.oid and s.deptype = 'o'
           and not (s.classid = 'pg_proc'::regclass and s.objid in (
             select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = any ($2)))))
     order by 1 limit 20`,
    [roles, schemas],
  );
  return rows.map(({ what }) => `${what}: give it to somebody else, or drop it`);
}
