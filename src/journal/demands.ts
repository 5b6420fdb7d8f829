import pg from 'pg';
import type { Branch } from './branches.js';
import type { ColumnFacts, Demand, TableFacts } from './catalogue.js';
import { hasKey, isThere, keyPart, type Shape } from './shape.js';
import { CONSTANT } from './write-batch.js';

/** A table of which a restore brings rows back, or updates them. */
interface Written {
  readonly facts: TableFacts;
  readonly shapes: readonly Shape[];
  readonly branches: readonly Branch[];
}

/** A table's column may have any other name. */
const LANE = '"portcullis lane"';
const SEQ = '"portcullis seq"';
const ROW = '"portcullis row"';

/**
 * What the unique indexes, the exclusion and check constraints, and the columns that may not be null, say to the rows that a
 * restore would write: CTEs to be put behind `standing`, and what reads them, each row a change that is held back (lane, seq,
 * on_lane, on_seq, why), by another change's row as long as that is not restored, where one is named. Rows are asked as the
 * restore would make them: each of its values, or the one that its row has now, or the default. Nothing is asked that this
 * login may not read, of what triggers would alter, nor of two rows that would only clash once both are back.
 */
export function demandsOf(
  shapes: readonly Shape[],
  branches: readonly Branch[],
): { readonly ctes: readonly string[]; readonly edges: readonly string[] } {
  const ctes: string[] = [];
  const edges: string[] = [];
  for (const [at, table] of writtenTables(shapes, branches).entries()) {
    const { facts } = table;
    const demands = facts.demands.filter((demand) => isAsked(table, demand));
    const whole = [...nullFaults(table), ...demands.filter(({ kind }) => kind === 'check')];
    const compared = demands.filter(({ kind }) => kind !== 'check');
    if (whole.length + compared.length === 0) continue;
    const fresh = `fresh${at}`;
    ctes.push(`${fresh} as (${freshRows(table, columnsRead(facts, [...whole, ...compared]))})`);
    for (const { parts, name } of whole) {
      const why = name.startsWith('column ')
        ? `${name} of ${facts.table} may not be null`
        : `it would break check constraint ${name} of ${facts.table}`;
      edges.push(`
      select ${LANE} as lane, ${SEQ} as seq, null::smallint as on_lane, null::integer as on_seq, ${pg.escapeLiteral(why)} as why
      from ${fresh} where not (${parts[0]?.sql ?? 'true'})`);
    }
    if (compared.length > 0) ctes.push(`moving${at} as (${movingRows(table)})`);
    for (const [nth, demand] of compared.entries()) {
      const wanted = `wanted${at}_${nth}`;
      const values = demand.parts.map(({ sql }, part) => `(${sql}) as v${part}`);
      ctes.push(`${wanted} as (
        select ${[`${LANE} as lane`, `${SEQ} as seq`, `${ROW} as "row"`, ...values].join(', ')}
        from ${fresh} where ${demand.where ?? 'true'})`);
      edges.push(clashes(table, demand, wanted, `moving${at}`));
    }
  }
  return { ctes, edges };
}

function writtenTables(shapes: readonly Shape[], branches: readonly Branch[]): Written[] {
  const found = new Map<string, { facts: TableFacts; shapes: Shape[]; branches: Branch[] }>();
  const of = (facts: TableFacts): { shapes: Shape[]; branches: Branch[] } => {
    const known = found.get(facts.table) ?? { facts, shapes: [], branches: [] };
    found.set(facts.table, known);
    return known;
  };
  for (const shape of shapes) of(shape.facts).shapes.push(shape);
  for (const branch of branches) of(branch.facts).branches.push(branch);
  return [...found.values()];
}

/** What a restore writes nothing of, it cannot break; but a check constraint may have been added without looking at the rows. */
function isAsked({ facts, shapes, branches }: Written, { kind, columns }: Demand): boolean {
  const isReadable = (name: string): boolean =>
    facts.columns.some(
      (column) =>
        column.name === name &&
        (column.computed === null ? column.readable : facts.columns.every(({ readable }) => readable)),
    );
  if (!columns.every(isReadable)) return false;
  const computed = new Set(facts.columns.flatMap(({ name, generated }) => (generated ? [name] : [])));
  // Whether a row of this key is there was asked already.
  return (
    kind === 'check' ||
    branches.length > 0 ||
    shapes.some(({ changes }) =>
      columns.some((name) => computed.has(name) || changes.some((column) => column.name === name)),
    )
  );
}

/** Columns that may not be null, as demands. */
function nullFaults({ facts, shapes, branches }: Written): Demand[] {
  return facts.columns.flatMap(({ name, nullable, generated }) => {
    const set =
      branches.length > 0 || shapes.some(({ changes }) => changes.some((column) => column.name === name));
    if (nullable || generated || !set) return [];
    const sql = `${pg.escapeIdentifier(name)} is not null`;
    return [
      {
        ...({ kind: 'check', name: `column ${name}`, parts: [{ sql, operator: '' }], where: null } as const),
        ...{ nullsEqual: false, columns: [name] },
      },
    ];
  });
}

/** The columns that demands read, and those that they are computed from: these may be any. */
function columnsRead({ columns }: TableFacts, demands: readonly Demand[]): readonly ColumnFacts[] {
  const read = new Set(demands.flatMap((demand) => demand.columns));
  const named = columns.filter(({ name }) => read.has(name));
  return named.some(({ computed }) => computed !== null) ? columns : named;
}

/** The rows of a table as they would be, with the change that makes them so. */
function freshRows({ shapes, branches }: Written, columns: readonly ColumnFacts[]): string {
  const given = columns.filter(({ computed }) => computed === null);
  const selected = (of: readonly string[], value: (column: ColumnFacts) => string): string =>
    [
      ...[LANE, SEQ, ROW].map((name, nth) => `${of[nth] ?? ''} as ${name}`),
      ...given.map((column) => `${value(column)} as ${pg.escapeIdentifier(column.name)}`),
    ].join(', ');
  const own = shapes.map(
    (shape) => `
        select ${selected(['s.lane', 's.seq', rowOf(shapes, 't')], (column) => freshValue(shape, column))}
        from standing s left join ${shape.table} t on ${hasKey(shape, 't', 's.key')}
        where s.resource = ${pg.escapeLiteral(shape.name)} and s.state = 'restorable' and s.after is not null`,
  );
  const [branch] = branches;
  const gone = [...new Set(branches.map(({ constraint }) => pg.escapeLiteral(constraint)))];
  const cascaded = branch && [
    `
        select ${selected(['s.lane', 's.seq', 'null::jsonb'], (column) => valueOr('d.image', column, byDefault(column)))}
        from standing s join portcullis_region.cascaded d on (d.run, d.lane, d.seq) = ($1, s.lane, s.seq)
        where s.state = 'restorable' and s.inserts and d."table" = ${pg.escapeLiteral(branch.table)} and d."constraint" in (${gone.join(', ')})`,
  ];
  const rows = [...own, ...(cascaded ?? [])].join(' union all ');
  if (given.length === columns.length) return rows;
  const computed = columns.map(({ name, computed: from }) =>
    from === null ? pg.escapeIdentifier(name) : `(${from}) as ${pg.escapeIdentifier(name)}`,
  );
  return `
      select ${[LANE, SEQ, ROW, ...computed].join(', ')} from (${rows}) r`;
}

/** A column's value in a row that a change `s` makes of `t`, or without it. */
function freshValue(shape: Shape, column: ColumnFacts): string {
  const part = shape.key.findIndex(({ name }) => name === column.name);
  if (part >= 0) return keyPart(shape.key, 's.key', part);
  const now = `t.${pg.escapeIdentifier(column.name)}`;
  const otherwise = `case when s.inserts then ${byDefault(column)} else ${now} end`;
  return shape.changes.some(({ name }) => name === column.name)
    ? valueOr('s.after', column, otherwise)
    : otherwise;
}

function valueOr(image: string, { name, fitted, cast }: ColumnFacts, otherwise: string): string {
  const member = pg.escapeLiteral(name);
  return `case when ${image} ? ${member} then (${image}->>${member})::${fitted ?? cast} else ${otherwise} end`;
}

/** A default that is another each time is not known before; nor is a sequence's next value taken for a look. */
function byDefault({ draws, cast }: ColumnFacts): string {
  return `(${draws !== null && CONSTANT.test(draws) ? draws : 'null'})::${cast}`;
}

/** What tells a row of a table from its others: by its key, since a login that may read some columns may not read the system's. */
function rowOf([first]: readonly Shape[], row: string): string {
  if (first === undefined) return 'null::jsonb';
  const values = first.key.map(({ quoted }) => `${row}.${quoted}::text`);
  return `case when ${isThere(first, row)} then jsonb_build_array(${values.join(', ')}) end`;
}

/** Rows that are there and that the restore alters or deletes, with the change that does. */
function movingRows({ shapes, branches }: Written): string {
  const each = shapes.map(
    (shape) => `
        select s.lane, s.seq, ${rowOf(shapes, 't')} as "row"
        from standing s join ${shape.table} t on ${hasKey(shape, 't', 's.key')}
        where s.resource = ${pg.escapeLiteral(shape.name)} and s.state = 'restorable' and not s.inserts`,
  );
  return each.length > 0 || branches.length === 0
    ? each.join(' union all ')
    : `select null::smallint as lane, null::integer as seq, null::jsonb as "row" where false`;
}

/** Rows that are there and have what another wants; where a restore moves one, it is asked what it comes to. */
function clashes({ facts, shapes }: Written, demand: Demand, wanted: string, moving: string): string {
  const { kind, name, parts, nullsEqual, where } = demand;
  const same = (value: (sql: string, part: number) => string): string =>
    parts
      .map(({ sql, operator }, part) => {
        const [theirs, ours] = [value(sql, part), `n.v${part}`];
        const equal = `${theirs} ${operator} ${ours}`;
        return nullsEqual ? `(${equal} or ${theirs} is null and ${ours} is null)` : equal;
      })
      .join(' and ');
  const why =
    kind === 'unique'
      ? `another row of ${facts.table} has its value by now (unique index ${name})`
      : `another row of ${facts.table} is in its way by now (exclusion constraint ${name})`;
  const stays = `m.lane is null or (f.lane is not null and ${same((_, part) => `f.v${part}`)})`;
  return `
      select n.lane, n.seq, case when ${stays} then null else m.lane end as on_lane,
        case when ${stays} then null else m.seq end as on_seq, ${pg.escapeLiteral(why)} as why
      from ${wanted} n
      cross join lateral (
        select ${rowOf(shapes, 'x')} as "row" from ${facts.table} x
        where ${same((sql) => `(${sql})`)} and ${where === null ? 'true' : `(${where})`}
      ) x
      left join ${moving} m on m."row" = x."row"
      left join ${wanted} f on (f.lane, f.seq) = (m.lane, m.seq)
      where n."row" is distinct from x."row" or n."row" is null`;
}
