import type { CascadingKey, TableFacts } from './catalogue.js';
import { isUnique, keyColumns, uniqueColumns, type Resource } from './change.js';
import { firingTriggers } from './trigger-effects.js';

/** What is wrong with a resource's columns and key, as its table has them. Pure; nothing: []. */
export function declarationFaults(resource: Resource, facts: TableFacts | undefined): string[] {
  if (facts === undefined) return ['there is no such table'];
  const columns = new Map(facts.columns.map((column) => [column.name, column]));
  const faults: string[] = [];
  const key = keyColumns(resource);
  const compared = [...resource.changes, ...(resource.compares ?? [])];
  const named = [...key, ...(resource.region === undefined ? [] : [resource.region]), ...compared];
  for (const column of new Set(named)) {
    if (!columns.has(column)) faults.push(`there is no column ${column}`);
  }
  if (key.length === 0) faults.push('its key names no column');
  if (new Set(key).size < key.length) faults.push('a column is in the key twice');
  if (compared.length === 0 && resource.deletes !== true) faults.push('it names no column');
  if (new Set(compared).size < compared.length) faults.push('a column is declared twice');
  if (key.some((column) => compared.includes(column))) faults.push('the key cannot be changed or compared');
  for (const column of resource.changes) {
    if (columns.get(column)?.generated === true) faults.push(`column ${column} is computed by the database`);
  }
  if (isUnique(resource)) {
    const known = new Set(resource.deletes === true ? columns.keys() : [...key, ...compared]);
    const { columns: unique, whiles } = uniqueColumns(resource);
    for (const column of [...unique, ...whiles.map(([name]) => name)]) {
      if (!known.has(column))
        faults.push(
          `uniqueAcross names ${column}, which is not in its key, changes or compares; add it to compares`,
        );
    }
  }
  if (key.length > 0 && key.every((column) => columns.has(column))) faults.push(...keyFaults(key, facts));
  return faults;
}

function keyFaults(key: readonly string[], { uniques }: TableFacts): string[] {
  const what = key.length === 1 ? `key ${key[0] ?? ''}` : `key (${key.join(', ')})`;
  const own = uniques.filter(
    ({ columns, exclusion }) =>
      !exclusion && columns.length === key.length && columns.every((column) => key.includes(column)),
  );
  const total = own.filter((unique) => unique.total);
  if (total.some(({ deferrable }) => !deferrable)) return [];
  if (total[0])
    return [
      `${what} is unique by ${total[0].name} alone, which is deferrable; make that not deferrable, or add a unique index`,
    ];
  return [
    own[0]
      ? `${what} has no unique index for all rows (${own[0].name} is for some); add one`
      : `${what} has no unique index`,
  ];
}

/**
 * Why a job with this resource cannot be exact on the table: each names the table, column or constraint, and what to do.
 * Pure; nothing: []. `hidden` are the roles, of those that work for the job, from which row-level security hides rows.
 */
export function tableFaults(resource: Resource, facts: TableFacts, hidden: readonly string[]): string[] {
  return [
    ...kindFaults(facts),
    ...(hidden.length === 0
      ? []
      : [
          `row-level security of ${facts.table} hides rows from ${hidden.join(', ')}; alter these roles with bypassrls, or name a table without it`,
        ]),
    ...updateFaults(resource, facts),
    ...(resource.deletes === true ? keyTriggerFaults(resource, facts) : []),
  ];
}

const KINDS: Readonly<Record<string, string>> = {
  v: 'a view; name the table that it reads',
  m: 'a materialised view; name the table that it reads',
  f: 'a foreign table: what is written there does not commit with the journal; gate the job in that database',
};

/** Why rows of a table cannot be kept as a run left them, whatever a job does with them. */
function kindFaults({ table, kind, logged, heirs, foreign, rules }: TableFacts): string[] {
  const what = KINDS[kind];
  if (what !== undefined) return [`${table} is ${what}`];
  return [
    ...(logged
      ? []
      : [
          `${table} is unlogged: a crash empties it, and the journal says otherwise; alter table ${table} set logged`,
        ]),
    ...(heirs.length > 0
      ? [
          `${heirs.join(', ')} ${heirs.length === 1 ? 'inherits' : 'inherit'} from ${table}, and no key holds for both; declare each table as a resource, or make partitions of them`,
        ]
      : []),
    ...foreign.map(
      (partition) =>
        `partition ${partition} of ${table} is a foreign table; detach it, or leave its rows to its own database`,
    ),
    ...rules.map(
      (rule) => `rule ${rule} rewrites what is written to ${table}; drop it, or make it a trigger`,
    ),
  ];
}

/** Foreign keys that would change other rows with what a job sets. */
function updateFaults({ changes, deletes }: Resource, facts: TableFacts): string[] {
  if (deletes === true) return [];
  const moves = facts.columns.some(({ name, places }) => places && changes.includes(name));
  return facts.cascading.flatMap((key) => {
    const set = key.referenced.filter((column) => changes.includes(column));
    if (key.onUpdate !== null && set.length > 0)
      return [
        `changing ${set.join(', ')} would change rows of ${key.table} (constraint ${key.constraint}, on update ${key.onUpdate}), which the journal does not keep; leave ${set.length === 1 ? 'the column' : 'the columns'} out, or drop the action`,
      ];
    // Up to PostgreSQL 14, a row that moves to another partition is deleted for those that reference it.
    if (key.onDelete !== null && moves)
      return [
        `changing the partition of a row may ${effectOf(key)} (constraint ${key.constraint}); leave the partition key out`,
      ];
    return [];
  });
}

/** Triggers that give a row another key when it is inserted, or restored. */
export function keyTriggerFaults(resource: Resource, facts: TableFacts): string[] {
  const keys = keyColumns(resource);
  return firingTriggers(facts, resource.changes, 'insert').flatMap(({ name, before, sets }) =>
    before && sets !== null && keys.some((column) => sets.includes(column))
      ? [`trigger ${name} sets its key, so the row could not be found again; let the column's default do so`]
      : [],
  );
}

/** Why a row that is inserted cannot be taken away again exactly. */
export function insertFaults(resource: Resource, facts: TableFacts): string[] {
  return [
    ...facts.cascading
      .filter(({ onDelete }) => onDelete !== null)
      .map(
        (key) =>
          `a restore would delete it again, and ${effectOf(key)} (constraint ${key.constraint}); insert into tables that nothing of the kind references`,
      ),
    ...keyTriggerFaults(resource, facts),
  ];
}

function effectOf({ onDelete, table }: CascadingKey): string {
  return `${onDelete === 'cascade' ? 'delete' : 'change'} rows of ${table}`;
}

/** As a declaration has the name: without the quotes that a name of capitals or blanks gets. */
export function unquoted(table: string): string {
  return table.replaceAll(/"((?:[^"]|"")*)"/g, (_, name: string) => name.replaceAll('""', '"'));
}
