import pg from 'pg';
import type { Cascade, CascadingKey, ColumnFacts, TableFacts, TriggerFacts } from './catalogue.js';
import type { Resource } from './change.js';
import { keyTriggerFaults, unquoted } from './declaration-faults.js';

/** A foreign key by which rows of another table go, or change, with a row that is deleted. */
export interface Branch {
  /** Its number among those of a resource. */
  readonly at: number;
  /** The branch that it hangs on; undefined for one that references the resource's own table. */
  readonly on: Branch | undefined;
  /** Whether its rows go with each other as well: its table references itself. */
  readonly recursive: boolean;
  readonly constraint: string;
  /** Quoted, ready for SQL. */
  readonly table: string;
  readonly action: Cascade;
  /** The columns that reference, and those of the row that is deleted. */
  readonly columns: readonly ColumnFacts[];
  readonly referenced: readonly string[];
  /** The columns that are set to null or a default. */
  readonly sets: readonly ColumnFacts[];
  /** What identifies a row. */
  readonly key: readonly ColumnFacts[];
  /** Every column that is not computed. */
  readonly all: readonly ColumnFacts[];
  /** What the catalogue says of its table. */
  readonly facts: TableFacts;
  /** What fires when its rows go, or change, and when a restore brings them back. */
  readonly triggers: readonly TriggerFacts[];
}

/** Foreign keys can lead to a table in many ways; a batch asks for each. */
const MOST_BRANCHES = 64;

/**
 * What goes with the rows of a resource, as it declares, in an order in which what is referenced comes first. Pure;
 * `faults` says what of it cannot be kept exactly.
 */
export function branchesOf(
  resource: Resource,
  tables: ReadonlyMap<string, TableFacts>,
  own: TableFacts,
): { readonly branches: readonly Branch[]; readonly faults: readonly string[] } {
  const branches: Branch[] = [];
  const faults = new Set<string>();
  const declared = new Set(resource.cascades ?? []);
  const facts = new Map([...tables.values()].map((each) => [each.table, each]));
  const reached = new Set<string>();
  /** `path`: the tables on the way; one that leads back to itself is followed row by row. */
  const follow = (parent: TableFacts, on: Branch | undefined, path: readonly string[]): void => {
    const selves = parent.cascading.filter(
      ({ table, onDelete }) => table === parent.table && onDelete === 'cascade',
    );
    if (selves[1])
      faults.add(
        `rows of ${parent.table} go with each other in ${selves.length} ways (constraints ${selves.map(({ constraint }) => constraint).join(', ')}); drop the action of all but one`,
      );
    for (const key of parent.cascading) {
      if (key.onDelete === null) continue;
      const child = facts.get(key.table);
      if (!declared.has(unquoted(key.table)) || child === undefined) {
        faults.add(undeclaredFault(key));
        continue;
      }
      const self = child.table === parent.table;
      const deletes = key.onDelete === 'cascade';
      if (self && deletes && on?.recursive === true) continue;
      if (!self && path.includes(child.table)) {
        faults.add(
          `rows of ${child.table} go with ${parent.table}, which go with them (constraint ${key.constraint}); drop the action of one`,
        );
        continue;
      }
      reached.add(child.table);
      for (const fault of childFaults(key, child)) faults.add(fault);
      if (branches.length === MOST_BRANCHES) {
        faults.add(`rows go with its own in more than ${MOST_BRANCHES} ways; drop some of the actions`);
        return;
      }
      const branch = branchOf({ at: branches.length, on, recursive: self && deletes }, key, child);
      branches.push(branch);
      // A row that is only changed keeps what references it.
      if (deletes) follow(child, branch, self ? path : [...path, child.table]);
    }
  };
  follow(own, undefined, [own.table]);
  for (const table of declared)
    if (![...reached].some((each) => unquoted(each) === table))
      faults.add(`cascades names ${table}, whose rows do not go with its own; leave it out`);
  return { branches: parentsFirst(branches, own.table), faults: [...faults] };
}

/**
 * By table, what is referenced first: a row that references two others that go is put back behind both. Of one table,
 * rows that go come before those that are only changed: what goes is not changed besides.
 */
function parentsFirst(branches: readonly Branch[], own: string): Branch[] {
  const depths = new Map<string, number>([[own, 0]]);
  // No way leads back to another table, so this ends.
  for (let changed = true; changed;) {
    changed = false;
    for (const { on, table, action } of branches) {
      const parent = on?.table ?? own;
      if (parent === table || action !== 'cascade') continue;
      const depth = (depths.get(parent) ?? 0) + 1;
      if (depth > (depths.get(table) ?? 0)) {
        depths.set(table, depth);
        changed = true;
      }
    }
  }
  const rank = ({ table, action }: Branch): number =>
    (action === 'cascade' ? 0 : branches.length + 1) + (depths.get(table) ?? 0);
  return branches.toSorted((one, other) => rank(one) - rank(other) || one.at - other.at);
}

function branchOf(
  place: Pick<Branch, 'at' | 'on' | 'recursive'>,
  key: CascadingKey,
  child: TableFacts,
): Branch {
  const named = (names: readonly string[]): ColumnFacts[] =>
    names.flatMap((name) => child.columns.find((column) => column.name === name) ?? []);
  return {
    ...place,
    ...{ constraint: key.constraint, table: child.table, action: key.onDelete ?? 'cascade' },
    ...{ columns: named(key.columns), referenced: key.referenced, sets: named(key.sets) },
    key: named(rowKey(child) ?? []),
    all: child.columns.filter(({ generated }) => !generated),
    facts: child,
    triggers: child.triggers.filter(({ events, of }) =>
      key.onDelete === 'cascade'
        ? events.some((event) => event !== 'update')
        : events.includes('update') && (of.length === 0 || of.some((name) => key.sets.includes(name))),
    ),
  };
}

/** Columns that identify every row. */
function rowKey({ uniques, columns }: TableFacts): readonly string[] | undefined {
  return uniques.find(
    ({ total, deferrable, exclusion, columns: of }) =>
      total &&
      !deferrable &&
      !exclusion &&
      of.every((name) => columns.some((column) => column.name === name && !column.nullable)),
  )?.columns;
}

function childFaults(key: CascadingKey, child: TableFacts): string[] {
  const deletes = key.onDelete === 'cascade';
  const moved = deletes
    ? []
    : child.cascading.filter(
        ({ onUpdate, referenced }) => onUpdate !== null && referenced.some((name) => key.sets.includes(name)),
      );
  return [
    ...(child.kind !== 'r' && child.kind !== 'p' ? [`${child.table} is no table of this database`] : []),
    ...(child.logged ? [] : [`${child.table} is unlogged; alter table ${child.table} set logged`]),
    ...(child.heirs.length > 0 ? [`${child.heirs.join(', ')} inherit from ${child.table}`] : []),
    ...child.rules.map((rule) => `rule ${rule} rewrites what is written to ${child.table}; drop it`),
    ...(rowKey(child) === undefined
      ? [`${child.table} has no unique key without nulls; add a primary key`]
      : []),
    ...(deletes
      ? keyTriggerFaults({ table: child.table, key: rowKey(child) ?? [], changes: [] }, child)
      : []
    ).map((fault) => `${child.table}: ${fault}`),
    ...moved.map(
      ({ constraint, table }) =>
        `changing ${key.sets.join(', ')} of ${child.table} would change rows of ${table} (constraint ${constraint}); drop the action`,
    ),
  ];
}

function undeclaredFault({ onDelete, table, constraint }: CascadingKey): string {
  return `deleting its rows would ${onDelete === 'cascade' ? 'delete' : 'change'} rows of ${table} (constraint ${constraint}), which are not declared; add cascades: ['${unquoted(table)}'], or drop the action`;
}

const q = (name: string): string => pg.escapeIdentifier(name);

/** SQL for a row of a branch's table in whole, each value as its text. */
export function wholeImage({ all: columns }: Branch, row: string): string {
  // jsonb_build_object takes 100 arguments.
  const parts: string[] = [];
  for (let at = 0; at < columns.length; at += 50) {
    const some = columns.slice(at, at + 50);
    const members = some.map(({ name }) => `${pg.escapeLiteral(name)}, ${row}.${q(name)}::text`);
    parts.push(`jsonb_build_object(${members.join(', ')})`);
  }
  return `(${parts.join(' || ')})`;
}

/** SQL for a row's key as text. */
export function branchKey({ key }: Branch, row: string): string {
  return `jsonb_build_array(${key.map(({ name }) => `${row}.${q(name)}::text`).join(', ')})::text`;
}

/** SQL for whether a row has the key that an image has. */
export function sameRow({ key }: Branch, row: string, image: string): string {
  return key.map((column) => `${row}.${q(column.name)} = ${valueIn(image, column)}`).join(' and ');
}

export function valueIn(image: string, { name, cast }: ColumnFacts): string {
  return `(${image}->>${pg.escapeLiteral(name)})::${cast}`;
}

/** SQL for whether the row's columns stand as the database left them when what they referenced was deleted. */
export function asLeft({ action, sets }: Branch, row: string): string {
  return sets
    .map(({ name, draws, cast }) =>
      action === 'set null'
        ? `${row}.${q(name)} is null`
        : `${row}.${q(name)} is not distinct from (${draws ?? 'null'})::${cast}`,
    )
    .join(' and ');
}

/**
 * SQL for a join of a branch's rows to those that they reference, which are `parent`; deeper ones have their images.
 * `again`: to others of the branch itself.
 */
export function references(branch: Branch, row: string, parent: string, again = false): string {
  const { columns, referenced } = branch;
  const on = again ? branch : branch.on;
  return columns
    .map((column, at) => {
      const name = referenced[at] ?? '';
      const of = on?.all.find((each) => each.name === name);
      return `${row}.${q(column.name)} = ${of === undefined ? `(${parent}.row).${q(name)}` : valueIn(`${parent}.image`, of)}`;
    })
    .join(' and ');
}
