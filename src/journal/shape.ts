import pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { readFacts, type ColumnFacts, type TableFacts } from './catalogue.js';
import { keyColumns, type KeptResource, type Operation, type Resource } from './change.js';
import { branchesOf, type Branch } from './branches.js';
import { declarationFaults } from './declaration-faults.js';
import { effectsOf, type Effects } from './trigger-effects.js';

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
  /** The type that it had when it was journaled, where that is another than now. */
  readonly was: string | undefined;
  /** What the database puts where nothing is given, in SQL. */
  readonly draws: string | undefined;
}

/** A declared resource, checked against the database that it lives in. */
export interface Shape {
  readonly name: string;
  /** As declared; where rows are deleted, with every column of the table. */
  readonly resource: Resource;
  /** Quoted, ready for SQL. */
  readonly table: string;
  readonly region: string | undefined;
  readonly key: readonly [Column, ...Column[]];
  readonly changes: readonly Column[];
  readonly compared: readonly Column[];
  /** What the table has besides, computed columns left out. None: a row that is made or deleted can be restored. */
  readonly others: readonly Column[];
  /** What triggers may do to a row that is written. */
  readonly effects: Readonly<Record<Operation, Effects>>;
  readonly facts: TableFacts;
  /** What goes with a row that is deleted, what hangs on nothing first. */
  readonly branches: readonly Branch[];
  /** Why what goes with a row that is deleted cannot be kept. */
  readonly faults: readonly string[];
}

/** The shapes of a job's resources, by their names. Throws as {@link shapeOf} does. */
export async function readShapes(
  pool: pg.Pool,
  resources: Readonly<Record<string, KeptResource>>,
): Promise<Map<string, Shape>> {
  const tables = await readTables(pool, Object.values(resources));
  return new Map(
    Object.entries(resources).map(([name, resource]) => [name, shapeOf(name, resource, tables)]),
  );
}

/** What the catalogue has of every table that these resources name: one query, which takes as long as one of them alone. */
export function readTables(
  pool: pg.Pool,
  resources: readonly KeptResource[],
): Promise<ReadonlyMap<string, TableFacts>> {
  return readFacts(
    pool,
    resources.flatMap(({ table, cascades = [] }) => [table, ...cascades].map(quoteTable)),
  );
}

/**
 * Looks a resource's columns up. Throws JOB_INVALID, naming everything that is wrong with the declaration:
 * no such table or column, a key that is not unique, a column declared twice or computed by the database.
 */
export function shapeOf(
  name: string,
  declared: KeptResource,
  tables: ReadonlyMap<string, TableFacts>,
): Shape {
  const facts = tables.get(quoteTable(declared.table));
  const faults = declarationFaults(declared, facts);
  if (facts === undefined || faults.length > 0) {
    throw new PortcullisError('JOB_INVALID', `resource ${name} (${declared.table}): ${faults.join('; ')}`, {
      hint: 'correct the job’s declaration, or migrate the database',
    });
  }
  const { types = {}, ...asDeclared } = declared;
  const resource = declared.deletes === true ? deletedWhole(asDeclared, facts.columns) : asDeclared;
  const columns = new Map(facts.columns.map((column) => [column.name, columnOf(column, types[column.name])]));
  const named = (each: readonly string[]): Column[] => each.flatMap((column) => columns.get(column) ?? []);
  const [first, ...rest] = named(keyColumns(resource));
  if (first === undefined) throw new Error(`resource ${name} has no key`);
  const compared = named([...resource.changes, ...(resource.compares ?? [])]);
  const settable = new Set([...keyColumns(resource), ...resource.changes]);
  return {
    name,
    resource,
    table: quoteTable(resource.table),
    region: resource.region && pg.escapeIdentifier(resource.region),
    key: [first, ...rest],
    changes: named(resource.changes),
    compared,
    others: [...columns.values()].filter((column) => !column.generated && !settable.has(column.name)),
    effects: effectsOf(facts, resource.changes),
    ...branchesOf(resource, tables, facts),
    facts,
  };
}

function columnOf(
  { name, cast, fitted, byText, generated, draws }: ColumnFacts,
  then: string | undefined,
): Column {
  return {
    ...{ name, quoted: pg.escapeIdentifier(name), cast, byText, generated },
    fitted: fitted ?? undefined,
    was: then === (fitted ?? cast) ? undefined : then,
    draws: draws ?? undefined,
  };
}

/** A resource whose rows are deleted, with the columns that the table has. What a plan stored already says which. */
function deletedWhole(resource: Resource, columns: readonly ColumnFacts[]): Resource {
  if (resource.changes.length > 0) return resource;
  const key = keyColumns(resource);
  const changes = columns.filter(({ name, generated }) => !generated && !key.includes(name));
  return { ...resource, changes: changes.map(({ name }) => name) };
}

/** A resource as a run's row keeps it: with the types of its columns. */
export function keptResource({ resource, key, compared }: Shape): KeptResource {
  const types = [...key, ...compared].map(({ name, fitted, cast }) => [name, fitted ?? cast]);
  return { ...resource, types: Object.fromEntries(types) as Record<string, string> };
}

/** SQL for whether a row has the key that `key` is, as the journal has it: text, of several columns a JSON array of texts. */
export function hasKey({ key }: Pick<Shape, 'key'>, row: string, text: string): string {
  return key.map((column, at) => `${row}.${column.quoted} = ${keyPart(key, text, at)}`).join(' and ');
}

/** SQL for the value of the key's column at `at`. */
export function keyPart(key: Shape['key'], text: string, at: number): string {
  const cast = key[at]?.cast ?? 'text';
  return key.length === 1 ? `${text}::${cast}` : `(${text}::jsonb->>${at})::${cast}`;
}

/** SQL for whether an outer join found a row. */
export function isThere({ key }: Pick<Shape, 'key'>, row: string): string {
  return `${row}.${key[0].quoted} is not null`;
}

/** A schema-qualified table's name, ready for SQL. */
export function quoteTable(table: string): string {
  return table
    .split('.')
    .map((part) => pg.escapeIdentifier(part))
    .join('.');
}
