import pg from 'pg';
import { keyColumns } from '../journal/change.js';
import { unquoted } from '../journal/declaration-faults.js';
import { quoteTable } from '../journal/shape.js';
import type { JobDefinition, Resource } from '../sdk/contract.js';

type Login = 'planner' | 'worker' | 'guard';
type Grant = readonly [what: string, ...to: Login[]];

/** What a job's roles need besides what its declaration tells. */
export interface FurtherGrants {
  /** Quoted: `insert on public.audit`. */
  readonly worker: readonly string[];
  /** Whether rows are hidden from roles that row-level security holds for. */
  readonly secured: boolean;
}

/**
 * SQL that gives Portcullis' roles what a job's declaration asks for, and no more: the planner and the guard read, the
 * worker writes. Run by the owner of the tables, after the roles are made. Further tables that a plan reads are the
 * author's to add.
 */
export function grantsFor(
  { unit, resources }: Pick<JobDefinition, 'unit' | 'resources'>,
  further: FurtherGrants = { worker: [], secured: false },
): string {
  const used = Object.values(resources);
  const read = unique([unit, ...used].map(({ table }) => quoteTable(table)));
  const kept = unique(used.flatMap(({ cascades = [] }) => cascades.map(quoteTable)));
  const written = further.worker.map((what) => what.slice(what.indexOf(' on ') + 4));
  const inSchemas = [...read, ...kept, ...written.map((each) => each.replace(/^sequence /, ''))];
  const schemas = unique(inSchemas.map((table) => unquoted(table.slice(0, table.lastIndexOf('.'))))).map(
    (schema) => pg.escapeIdentifier(schema),
  );
  const grants: Grant[] = [
    [`usage on schema ${schemas.join(', ')}`, 'planner', 'worker', 'guard'],
    [`select on ${read.join(', ')}`, 'planner', 'worker', 'guard'],
    ...used.flatMap(writing),
    // What goes with a deleted row is locked first, which takes the right to update, and put back by a restore.
    ...(kept.length === 0 ? [] : [[`select, insert, update on ${kept.join(', ')}`, 'worker'] as const]),
    ...further.worker.map((what): Grant => [what, 'worker']),
  ];
  const statements = grants.map(([what, ...to]) => executed(`grant ${what} to`, to));
  const secured = further.secured
    ? [
        '  -- Row-level security would hide rows from them. This takes a superuser.',
        ...(['planner', 'worker', 'guard'] as const).map((login) =>
          executed('alter role', [login], ' bypassrls'),
        ),
      ]
    : [];
  return `do $grants$
declare
  planner name;
  worker name;
  guard name;
begin
  select role into strict planner from portcullis_store.login where login = 'planner';
  select role into strict worker from portcullis_store.login where login = 'worker';
  select role into strict guard from portcullis_store.login where login = 'guard';
${[...unique(statements), ...secured].join('\n')}
end $grants$;
`;
}

function writing({ table, key, changes, deletes, cascades = [] }: Resource): Grant[] {
  const quoted = quoteTable(table);
  const columns = (names: readonly string[]): string =>
    names.map((each) => pg.escapeIdentifier(each)).join(', ');
  if (deletes === true) {
    const locking =
      cascades.length === 0
        ? []
        : [[`update (${columns(keyColumns({ key }))}) on ${quoted}`, 'worker'] as const];
    return [[`insert, delete on ${quoted}`, 'worker'], ...locking];
  }
  return changes.length === 0 ? [] : [[`update (${columns(changes)}) on ${quoted}`, 'worker']];
}

function executed(before: string, to: readonly Login[], after = ''): string {
  const text = `${before.replaceAll('%', '%%')} ${to.map(() => '%I').join(', ')}${after}`;
  return `  execute format(${pg.escapeLiteral(text)}, ${to.join(', ')});`;
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
