import pg from 'pg';
import { PortcullisError } from '../base/errors.js';
import type { Resource } from './change.js';

interface Column {
  readonly name: string;
  /** Quoted, ready for SQL. */
  readonly quoted: string;
  /** A type to cast text to that neither truncates nor rounds: the type without its length or scale. */
  readonly cast: string;
  /** Types without an equality of their own (json, xml, point) compare by their text. */
  readonly byText: boolean;
}

/** A declared resource, checked against the database that it lives in. */
export interface Shape {
  readonly name: string;
  readonly resource: Resource;
  /** Quoted, ready for SQL. */
  readonly table: string;
  readonly region: string | undefined;
  readonly key: Column;
  readonly changes: readonly Column[];
  readonly compared: readonly Column[];
  /** Whether `changes`, `compares` and the key are all the row has, so that a deleted row can be put back. */
  readonly whole: boolean;
}

interface ColumnRow {
  readonly name: string;
  readonly cast: string;
  readonly by_text: boolean;
  readonly generated: boolean;
  readonly unique_key: boolean;
}

/**
 * Looks a resource's columns up. Throws JOB_INVALID, naming everything that is wrong with the declaration:
 * no such table or column, a key that is not unique, a column declared twice or computed by the database.
 */
export async function readShape(pool: pg.Pool, name: string, resource: Resource): Promise<Shape> {
  const { rows } = await pool.query<ColumnRow>(
    `select a.attname as name,
       format('%I.%I', n.nspname, t.typname) as cast,
       not exists (select from pg_operator o
                   where o.oprname = '=' and o.oprleft = t.oid and o.oprright = t.oid)
         and t.typcategory not in ('A', 'E', 'R') and t.typtype <> 'd' as by_text,
       a.attgenerated <> '' as generated,
       exists (select from pg_index i
               where i.indrelid = a.attrelid and i.indisunique and i.indisvalid and i.indpred is null
                 and i.indnkeyatts = 1 and i.indkey[0] = a.attnum) as unique_key
     from pg_attribute a
     join pg_type t on t.oid = a.atttypid
     join pg_namespace n on n.oid = t.typnamespace
     where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`,
    [quoteTable(resource.table)],
  );
  const columns = new Map(rows.map((row) => [row.name, row]));
  const faults = faultsOf(resource, columns);
  if (faults.length > 0) {
    throw new PortcullisError('JOB_INVALID', `resource ${name} (${resource.table}): ${faults.join('; ')}`, {
      mend: 'correct the job’s declaration, or migrate the database',
    });
  }
  const column = (columnName: string): Column => {
    const row = columns.get(columnName);
    return {
      name: columnName,
      quoted: pg.escapeIdentifier(columnName),
      cast: row?.cast ?? 'text',
      byText: row?.by_text ?? false,
    };
  };
  const compared = [...resource.changes, ...(resource.compares ?? [])];
  const declared = new Set([resource.key, ...compared]);
  return {
    name,
    resource,
    table: quoteTable(resource.table),
    region: resource.region && pg.escapeIdentifier(resource.region),
    key: column(resource.key),
    changes: resource.changes.map(column),
    compared: compared.map(column),
    whole: rows.every((row) => row.generated || declared.has(row.name)),
  };
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

function quoteTable(table: string): string {
  return table
    .split('.')
    .map((part) => pg.escapeIdentifier(part))
    .join('.');
}
