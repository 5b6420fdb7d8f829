import pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import type { Resource } from './change.js';

export interface Column {
  readonly name: string;
  /** Quoted, ready for SQL. */
  readonly quoted: string;
  /** A type to cast text to that neither truncates nor rounds: the type without its length or scale. */
  readonly cast: string;
  /** The type with its length or scale, where it has one: what a column makes of a value it is given. */
  readonly fitted: string | undefined;
  /**
   * Whether values compare by their text: where a type has no equality (json, point), or one that takes
   * different values for the same (numeric 1.0 and 1.00, an interval of 30 days and of a month).
   */
  readonly byText: boolean;
  /** Computed by the database from other columns. */
  readonly generated: boolean;
}

/** A declared resource, checked against the database that it lives in. */
export interface Shape {
  readonly name: string;
  /** As declared; where rows are deleted, with every column of the table. */
  readonly resource: Resource;
  /** Quoted, ready for SQL. */
  readonly table: string;
  readonly region: string | undefined;
  readonly key: Column;
  readonly changes: readonly Column[];
  readonly compared: readonly Column[];
  /** Whether `changes` and the key are all the row has, so that a row that was made or deleted can be restored. */
  readonly whole: boolean;
}

/** Types of which two values that are equal are the same to the last byte. */
const EQUAL_IS_SAME =
  '{boolean,smallint,integer,bigint,text,character varying,uuid,date,timestamp,timestamptz,bytea}';

interface ColumnRow {
  readonly name: string;
  readonly cast: string;
  readonly fitted: string | null;
  readonly by_text: boolean;
  readonly generated: boolean;
  readonly unique_key: boolean;
}

/**
 * Looks a resource's columns up. Throws JOB_INVALID, naming everything that is wrong with the declaration:
 * no such table or column, a key that is not unique, a column declared twice or computed by the database.
 */
export async function readShape(pool: pg.Pool, name: string, declared: Resource): Promise<Shape> {
  const { rows } = await pool.query<ColumnRow>(
    `select a.attname as name,
       format('%I.%I', n.nspname, t.typname) as cast,
       case when a.atttypmod <> -1 then format_type(a.atttypid, a.atttypmod) end as fitted,
       not (t.typtype = 'e' or t.oid = any ($2::regtype[]) and coalesce(l.collisdeterministic, true)) as by_text,
       a.attgenerated <> '' as generated,
       exists (select from pg_index i
               where i.indrelid = a.attrelid and i.indisunique and i.indisvalid and i.indpred is null
                 and i.indnkeyatts = 1 and i.indkey[0] = a.attnum) as unique_key
     from pg_attribute a
     join pg_type t on t.oid = a.atttypid
     join pg_namespace n on n.oid = t.typnamespace
     left join pg_collation l on l.oid = a.attcollation
     where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`,
    [quoteTable(declared.table), EQUAL_IS_SAME],
  );
  const columns = new Map(rows.map((row) => [row.name, row]));
  const resource = declared.deletes === true ? deletedWhole(declared, rows) : declared;
  const faults = faultsOf(resource, columns);
  if (faults.length > 0) {
    throw new PortcullisError('JOB_INVALID', `resource ${name} (${resource.table}): ${faults.join('; ')}`, {
      hint: 'correct the job’s declaration, or migrate the database',
    });
  }
  const column = (columnName: string): Column => {
    const row = columns.get(columnName);
    return {
      name: columnName,
      quoted: pg.escapeIdentifier(columnName),
      cast: row?.cast ?? 'text',
      fitted: row?.fitted ?? undefined,
      byText: row?.by_text ?? false,
      generated: row?.generated ?? false,
    };
  };
  const compared = [...resource.changes, ...(resource.compares ?? [])];
  const settable = new Set([resource.key, ...resource.changes]);
  return {
    name,
    resource,
    table: quoteTable(resource.table),
    region: resource.region && pg.escapeIdentifier(resource.region),
    key: column(resource.key),
    changes: resource.changes.map(column),
    compared: compared.map(column),
    whole: rows.every((row) => row.generated || settable.has(row.name)),
  };
}

/** A resource whose rows are deleted, with the columns that the table has. What a plan stored already says which. */
function deletedWhole(resource: Resource, rows: readonly ColumnRow[]): Resource {
  if (resource.changes.length > 0) return resource;
  const changes = rows.filter(({ name, generated }) => !generated && name !== resource.key);
  return { ...resource, changes: changes.map(({ name }) => name) };
}

function faultsOf(resource: Resource, columns: ReadonlyMap<string, ColumnRow>): string[] {
  if (columns.size === 0) return ['there is no such table'];
  const faults: string[] = [];
  const compared = [...resource.changes, ...(resource.compares ?? [])];
  const named = [resource.key, ...(resource.region === undefined ? [] : [resource.region]), ...compared];
  for (const column of new Set(named)) {
    if (!columns.has(column)) faults.push(`there is no column ${column}`);
  }
  if (compared.length === 0) faults.push('it names no column');
  if (new Set(compared).size < compared.length) faults.push('a column is declared twice');
  if (compared.includes(resource.key)) faults.push('the key cannot be changed or compared');
  for (const column of resource.changes) {
    if (columns.get(column)?.generated === true) faults.push(`column ${column} is computed by the database`);
  }
  if (columns.get(resource.key)?.unique_key === false) faults.push(`key ${resource.key} has no unique index`);
  return faults;
}

/** A schema-qualified table's name, ready for SQL. */
export function quoteTable(table: string): string {
  return table
    .split('.')
    .map((part) => pg.escapeIdentifier(part))
    .join('.');
}
