import pg from 'pg';
import { quoteTable } from '../journal/shape.js';
import type { JobDefinition } from '../sdk/contract.js';

/**
 * SQL that gives Portcullis' roles what a job's declaration asks for, and no more: the planner and the guard read, the
 * worker writes. Run by the owner of the tables, after the roles are made. Further tables that a plan reads are the
 * author's to add.
 */
export function grantsFor({ unit, resources }: Pick<JobDefinition, 'unit' | 'resources'>): string {
  const used = Object.values(resources);
  const tables = [...new Set([unit, ...used].map(({ table }) => quoteTable(table)))];
  const schemas = [...new Set(tables.map((table) => table.slice(0, table.lastIndexOf('.'))))];
  const statements = [
    [`usage on schema ${schemas.join(', ')}`, 'planner, worker, guard'],
    [`select on ${tables.join(', ')}`, 'planner, worker, guard'],
    ...used.map(({ table, changes, deletes }) => {
      if (deletes === true) return [`insert, delete on ${quoteTable(table)}`, 'worker'];
      return changes.length === 0
        ? undefined
        : [
            `update (${changes.map((each) => pg.escapeIdentifier(each)).join(', ')}) on ${quoteTable(table)}`,
            'worker',
          ];
    }),
  ].flatMap((each) => (each === undefined ? [] : [each]));
  const lines = [...new Map(statements.map(([what = '', who = '']) => [what, who]))].map(
    ([what, who]) =>
      `  execute format(${pg.escapeLiteral(`grant ${what.replaceAll('%', '%%')} to ${who.replace(/\w+/g, '%I')}`)}, ${who});`,
  );
  return `do $grants$
declare
  planner name;
  worker name;
  guard name;
begin
  select role into strict planner from portcullis_store.login where login = 'planner';
  select role into strict worker from portcullis_store.login where login = 'worker';
  select role into strict guard from portcullis_store.login where login = 'guard';
${lines.join('\n')}
end $grants$;
`;
}
