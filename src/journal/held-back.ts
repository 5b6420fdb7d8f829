import pg from 'pg';
import type { Branch } from './branches.js';
import type { ColumnFacts, Reference } from './catalogue.js';
import { demandsOf } from './demands.js';
import { keyPart, type Column, type Shape } from './shape.js';

type Typed = Pick<ColumnFacts | Column, 'name' | 'cast'>;

/** A table of which a restore puts rows back. */
interface PutBack {
  /** Quoted. */
  readonly table: string;
  readonly columns: readonly Typed[];
  readonly needs: readonly Reference[];
}

/**
 * CTEs, to be put behind `standing`, of which the last, `held` (lane, seq, why), has the changes of a CTE `standing` (lane, seq,
 * resource, key, inserts, after, state) that a restore could bring back but for a constraint: a row that they put back references
 * one that is not there, and that nobody puts back, or breaks what its table asks of it. One such change holds back those whose
 * rows reference its own, or what went with it, or need a value that its row has: so the database has it when it is restored, and
 * a dry run must say the same. `$1` is the run. Undefined where nothing is asked of rows that may come back.
 */
export function heldBack(shapes: Iterable<Shape>): string | undefined {
  const each = [...shapes];
  const branches = each.flatMap((shape) => shape.branches.filter(({ action }) => action === 'cascade'));
  const tables = tablesOf(each, branches);
  const references = tables.flatMap((from) =>
    from.needs.map((reference) => edgesOf(from, reference, tables)),
  );
  const demands = demandsOf(each, branches);
  const edges = [...references, ...demands.edges];
  if (edges.length === 0) return undefined;
  const ctes = [...(references.length > 0 ? [putBack(each, branches)] : []), ...demands.ctes];
  return `${ctes.map((cte) => `${cte}, `).join('')}
    edge as (${edges.join(' union all ')}
    ), held_by as (
      select lane, seq, why from edge where on_lane is null
      union
      select e.lane, e.seq, e.why from edge e join held_by h on (h.lane, h.seq) = (e.on_lane, e.on_seq)
    ), held as (
      select lane, seq, min(why) as why from held_by group by lane, seq
    )`;
}

/** Every row that comes back, or is updated, as far as its columns are set. */
function putBack(shapes: readonly Shape[], branches: readonly Branch[]): string {
  const gone = [
    ...new Set(
      branches.map(
        ({ table, constraint }) => `(${pg.escapeLiteral(table)}, ${pg.escapeLiteral(constraint)})`,
      ),
    ),
  ];
  const cascaded = `
      select s.lane, s.seq, d."table", d.image from standing s
      join portcullis_region.cascaded d on (d.run, d.lane, d.seq) = ($1, s.lane, s.seq)
      where s.state = 'restorable' and s.inserts and (d."table", d."constraint") in (${gone.join(', ')})`;
  return `
    put_back as (${[...shapes.map(ownRows), ...(gone.length > 0 ? [cascaded] : [])].join(' union all ')}
    )`;
}

/** Each table once, with what its rows that come back may reference. */
function tablesOf(shapes: readonly Shape[], branches: readonly Branch[]): PutBack[] {
  const found = new Map<string, PutBack>();
  for (const { facts, key, changes } of shapes) {
    const columns = [...key, ...changes];
    const set = new Set(changes.map(({ name }) => name));
    const all = new Set(columns.map(({ name }) => name));
    const needs = facts.references.filter(
      ({ columns: of }) => of.some((name) => set.has(name)) && of.every((name) => all.has(name)),
    );
    found.set(facts.table, { table: facts.table, columns, needs });
  }
  for (const { table, all, facts } of branches)
    if (!found.has(table)) found.set(table, { table, columns: all, needs: facts.references });
  return [...found.values()];
}

/** The rows that changes themselves put back, or update, as far as they set them. */
function ownRows({ name, facts, key }: Shape): string {
  const members = key.map(
    (column, at) => `${pg.escapeLiteral(column.name)}, (${keyPart(key, 's.key', at)})::text`,
  );
  return `
      select s.lane, s.seq, ${pg.escapeLiteral(facts.table)} as "table", s.after || jsonb_build_object(${members.join(', ')}) as image
      from standing s where s.resource = ${pg.escapeLiteral(name)} and s.state = 'restorable' and s.after is not null`;
}

/** What rows of a table reference that is not there: with the change that puts it back, or none. */
function edgesOf({ table, columns }: PutBack, reference: Reference, tables: readonly PutBack[]): string {
  const parent = tables.find((each) => each.table === reference.table);
  const values = reference.columns.map((name) => valueIn('n', table, typed(columns, name)));
  const there = reference.referenced.map(
    (name, at) => `x.${pg.escapeIdentifier(name)} = ${values[at] ?? ''}`,
  );
  const back =
    parent !== undefined &&
    reference.referenced.every((name) => parent.columns.some((column) => column.name === name))
      ? reference.referenced.map(
          (name, at) => `${valueIn('p', parent.table, typed(parent.columns, name))} = ${values[at] ?? ''}`,
        )
      : ['false'];
  const why = `a row of ${table} references one of ${reference.table} that is not there and does not come back (constraint ${reference.constraint})`;
  return `
      select n.lane, n.seq, p.lane as on_lane, p.seq as on_seq, ${pg.escapeLiteral(why)} as why
      from put_back n left join put_back p on p."table" = ${pg.escapeLiteral(reference.table)} and ${back.join(' and ')}
      where n."table" = ${pg.escapeLiteral(table)} and ${values.map((value) => `${value} is not null`).join(' and ')}
        and (p.lane is null or (p.lane, p.seq) <> (n.lane, n.seq)) and not exists (select from ${reference.table} x where ${there.join(' and ')})`;
}

function typed(columns: readonly Typed[], name: string): Typed {
  return columns.find((column) => column.name === name) ?? { name, cast: 'text' };
}

/** Read of a table's rows alone: a value of another's may be none of the type. */
function valueIn(row: string, table: string, { name, cast }: Typed): string {
  return `case when ${row}."table" = ${pg.escapeLiteral(table)} then (${row}.image->>${pg.escapeLiteral(name)})::${cast} end`;
}
