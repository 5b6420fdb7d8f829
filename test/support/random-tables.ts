import fc from 'fast-check';
import type { Resource } from '../../src/sdk/contract.js';

/** Pictures of tables as other teams may have them, at random; and the SQL that makes each. */

/** Types, each with what a row has, what the job makes of it, and what a user does. */
const TYPES = {
  text: ['A', 'b', 'c'],
  'numeric(6,2)': ['1.50', '2.256', '7'],
  timestamptz: ['2026-01-01 00:00:00.123+00', '2026-02-02 01:02:03+00', '2026-03-03 00:00:00+00'],
  jsonb: ['{"a": 1.0}', '{"b": [1, 2]}', '[]'],
  boolean: ['true', 'false', null],
  'character(4)': ['ab', 'cd', 'ef'],
  'integer[]': ['{1,2}', '{3,NULL}', '{}'],
  interval: ['1 mon', '30 days', '1 day'],
} as const;
type Type = keyof typeof TYPES;

/** What a column of each type becomes while a run waits to be restored. */
const RETYPED: Readonly<Record<Type, string>> = {
  text: 'varchar(20)',
  'numeric(6,2)': 'numeric(8,3)',
  timestamptz: 'timestamptz(0)',
  jsonb: 'text',
  boolean: 'text',
  'character(4)': 'text',
  'integer[]': 'bigint[]',
  interval: 'text',
};

/** A table, and what is done with it. */
export const picture = fc.record({
  key: fc.oneof(
    { weight: 4, arbitrary: fc.constant('composite' as const) },
    { weight: 3, arbitrary: fc.constant('identity' as const) },
    { weight: 3, arbitrary: fc.constantFrom('text' as const, 'uuid' as const, 'bigint' as const) },
  ),
  types: fc.uniqueArray(fc.constantFrom(...(Object.keys(TYPES) as Type[])), { minLength: 1, maxLength: 4 }),
  trigger: fc.oneof(
    { weight: 5, arbitrary: fc.constant('none' as const) },
    { weight: 7, arbitrary: fc.constantFrom('before' as const, 'after' as const, 'deferred' as const) },
  ),
  generated: fc.boolean(),
  partitioned: fc.boolean(),
  does: fc.constantFrom(
    'update' as const,
    'update' as const,
    'delete' as const,
    'delete' as const,
    'delete' as const,
    'delete' as const,
    'insert' as const,
  ),
  goes: fc.oneof(
    { weight: 4, arbitrary: fc.constant('diamond' as const) },
    { weight: 3, arbitrary: fc.constantFrom('none' as const, 'cascade' as const, 'set null' as const) },
  ),
  /** Rows 3 and 4 reference rows 1 and 2 of the same table. */
  self: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 2, arbitrary: fc.constant(true) }),
  /** On what references the table: it logs what happens there. */
  childTrigger: fc.boolean(),
  /** What is unique besides the key: the column x, always or where it is over 1. */
  unique: fc.oneof(
    { weight: 1, arbitrary: fc.constant('none' as const) },
    { weight: 4, arbitrary: fc.constantFrom('deferred' as const, 'partial' as const) },
  ),
  exclusion: fc.boolean(),
  rowSecurity: fc.oneof(
    { weight: 13, arbitrary: fc.constant(false) },
    { weight: 7, arbitrary: fc.constant(true) },
  ),
  /** What becomes of the table's columns between the run and its restore. */
  since: fc.constantFrom('added' as const, 'dropped' as const, 'retyped' as const),
  declared: fc.oneof(
    { weight: 7, arbitrary: fc.constant(true) },
    { weight: 1, arbitrary: fc.constant(false) },
  ),
  /** What a user does to each of the rows, once the run is over. */
  edits: fc.array(
    fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    { minLength: 4, maxLength: 4 },
  ),
});
export type Picture = typeof picture extends fc.Arbitrary<infer Of> ? Of : never;

/** What a test counts tables by. */
export const FEATURES: Readonly<Record<string, (of: Picture) => boolean>> = {
  'composite keys': ({ key }) => key === 'composite',
  'identity keys': ({ key }) => key === 'identity',
  'types that round or compare by text': ({ types }) =>
    types.some((type) => /numeric|interval|jsonb|char/.test(type)),
  triggers: ({ trigger }) => trigger !== 'none',
  'generated columns': ({ generated }) => generated,
  partitions: (of) => isPartitioned(of),
  cascades: ({ does, goes }) => does === 'delete' && goes !== 'none',
  'rows that go in two ways': ({ does, goes }) => does === 'delete' && goes === 'diamond',
  'triggers, and rows are deleted': ({ does, trigger }) => does === 'delete' && trigger !== 'none',
  'self-references': ({ self }) => self,
  'triggers, and rows go with others': (of) =>
    goesWithOthers(of) && (of.childTrigger || (goesWithItself(of) && of.trigger !== 'none')),
  'deferred constraints': ({ unique }) => unique === 'deferred',
  'exclusion constraints': (of) => isExclusive(of),
  'partial unique indexes': ({ unique }) => unique === 'partial',
  'row-level security': ({ rowSecurity }) => rowSecurity,
  'columns added since': ({ since }) => since === 'added',
  'columns dropped since': ({ since }) => since === 'dropped',
  'columns retyped since': ({ since }) => since === 'retyped',
};

/** PostgreSQL 16 and older have no identity columns in partitioned tables. */
function isPartitioned({ partitioned, key }: Picture): boolean {
  return partitioned && key !== 'identity';
}

/** PostgreSQL 16 and older have no exclusion constraints on partitioned tables. */
function isExclusive(of: Picture): boolean {
  return of.exclusion && !isPartitioned(of);
}

/** Whether rows of the table go with others of it. */
export function goesWithItself({ does, self }: Picture): boolean {
  return does === 'delete' && self;
}

/** Whether rows of any table go with those of this one. */
function goesWithOthers(of: Picture): boolean {
  return of.does === 'delete' && (of.goes !== 'none' || of.self);
}

/** Why a job on such a table is to be refused at load, where it is. `bypass`: row-level security holds for no login. */
export function faultOf(of: Picture, at: number, bypass: boolean): RegExp | undefined {
  const named = (what: string): RegExp => new RegExp(`resource t${at} \\(shop\\.t${at}\\): [^\\n]*${what}`);
  if (of.rowSecurity && !bypass) return named(`row-level security of shop\\.t${at} hides rows from `);
  if (goesWithOthers(of) && !of.declared) return named(`constraint (goes|own|self)${at}`);
  return undefined;
}

/** Whether a restore refuses the table: what it has of the row that it would put back has no column any more. */
export function isRefusedSince({ since, does }: Picture): boolean {
  return since === 'dropped' && does !== 'update';
}

export const columnsOf = ({ types }: Picture): string[] => ['v', 'x', ...types.map((_, at) => `c${at}`)];
/** The columns that a job leaves as they are, but must name where it makes rows or deletes them. */
export const othersOf = (of: Picture): string[] => [
  'spare',
  ...(of.self ? keysOf(of).map((_, at) => `p${at}`) : []),
];
export const keysOf = ({ key }: Picture): string[] => (key === 'composite' ? ['k0', 'k1'] : ['k0']);
const KEY_TYPES = {
  composite: 'text',
  identity: 'int generated always as identity',
  text: 'text',
  uuid: 'uuid',
  bigint: 'bigint',
};
export const keyValues = ({ key }: Picture, n: number): string[] =>
  key === 'composite'
    ? [`k"${n % 2}`, String(n)]
    : [key === 'uuid' ? `00000000-0000-4000-8000-00000000000${n}` : key === 'text' ? `k ${n}` : String(n)];

export const literal = (value: string | null): string =>
  value === null ? 'null' : `'${value.replaceAll("'", "''")}'`;
/** Of row `n`: as it is at first, as the job has it, and as a user does. */
export const valuesOf = (of: Picture, which: 0 | 1 | 2, n: number): (string | null)[] => [
  TYPES.text[which],
  String(n + 10 * which),
  ...of.types.map((type) => TYPES[type][which]),
];

export const whereKey = (of: Picture, n: number): string =>
  keyValues(of, n)
    .map((value, k) => `k${k} = ${literal(value)}`)
    .join(' and ');

/** What a migration does to the table, and to the copy of it that tells what it was before the run. */
export function migrationOf(of: Picture, at: number): string {
  const does = {
    added: `add column since text not null default 'new'`,
    dropped: 'drop column spare',
    retyped: `alter column c0 type ${RETYPED[of.types[0] ?? 'text']}`,
  };
  return [`shop.t${at}`, `shop.was${at}`]
    .map((table) => `alter table ${table} ${does[of.since]};`)
    .join('\n');
}

export function schemaOf(of: Picture, at: number): string {
  const keys = keysOf(of);
  const table = `shop.t${at}`;
  const parted = isPartitioned(of);
  const child = `shop.t${at}_child`;
  const rows = [1, 2, 3, 4].map(
    (n) => `(${[...keyValues(of, n), ...valuesOf(of, 0, n)].map(literal).join(', ')})`,
  );
  const keyType = KEY_TYPES[of.key].split(' ')[0] ?? '';
  const unique = [...(parted ? ['k0'] : []), 'x'];
  return `
    create table ${table} (k0 ${KEY_TYPES[of.key]}${of.key === 'composite' ? ', k1 int' : ''}, v text, x int, spare int,
      ${of.self ? `p0 ${keyType}, ${of.key === 'composite' ? 'p1 int, ' : ''}` : ''}
      ${of.types.map((type, n) => `c${n} ${type}`).join(', ')}
      ${of.generated ? ', made text generated always as (v || v) stored' : ''}, primary key (${keys.join(', ')})) ${parted ? 'partition by hash (k0)' : ''};
    ${parted ? [0, 1].map((n) => `create table ${table}_${n} partition of ${table} for values with (modulus 2, remainder ${n});`).join('') : ''}
    insert into ${table} (${[...keys, ...columnsOf(of)].join(', ')}) overriding system value values ${rows.join(', ')};
    ${
      of.self
        ? `alter table ${table} add constraint self${at} foreign key (${keys.map((_, n) => `p${n}`).join(', ')}) references ${table}
             on delete ${of.does === 'delete' ? 'cascade' : 'no action'};
           ${[1, 2]
             .map(
               (n) =>
                 `update ${table} set ${keyValues(of, n)
                   .map((value, k) => `p${k} = ${literal(value)}`)
                   .join(', ')} where ${whereKey(of, n + 2)};`,
             )
             .join(' ')}`
        : ''
    }
    ${
      of.unique === 'deferred'
        ? `alter table ${table} add unique (${unique.join(', ')}) deferrable initially deferred;`
        : of.unique === 'partial'
          ? `create unique index on ${table} (${unique.join(', ')}) where x > 1;`
          : ''
    }
    ${isExclusive(of) ? `alter table ${table} add exclude (x with =);` : ''}
    ${of.rowSecurity ? `alter table ${table} enable row level security; create policy everything on ${table} using (true);` : ''}
    ${of.key === 'identity' ? `select setval(pg_get_serial_sequence('${table}', 'k0'), 4);` : ''}
    ${
      of.goes === 'none'
        ? ''
        : `create table ${child} (id int primary key, ${keys.map((key, n) => `${key} ${n === 1 ? 'int' : keyType}`).join(', ')}, note jsonb,
             constraint goes${at} foreign key (${keys.join(', ')}) references ${table} on delete ${of.does !== 'delete' ? 'no action' : of.goes === 'diamond' ? 'cascade' : of.goes});
           insert into ${child} select n, ${keys.join(', ')}, '{"x": 1.0}' from (select row_number() over () as n, ${keys.join(', ')} from ${table}, generate_series(1, 2)) p;
           ${of.childTrigger ? `create trigger logs after insert or update or delete on ${child} for each row execute function shop.log();` : ''}`
    }
    ${
      of.goes !== 'diamond'
        ? ''
        : `create table ${table}_leaf (id int primary key, child int constraint leaf${at} references ${child} on delete ${of.does === 'delete' ? 'cascade' : 'no action'},
             ${keys.map((key, n) => `${key} ${n === 1 ? 'int' : keyType}`).join(', ')},
             constraint own${at} foreign key (${keys.join(', ')}) references ${table} on delete ${of.does === 'delete' ? 'cascade' : 'no action'});
           insert into ${table}_leaf select c.id, 1 + (c.id % 8), ${keys.map((key) => `c.${key}`).join(', ')} from ${child} c;`
    }
    ${
      of.trigger === 'none'
        ? ''
        : of.trigger === 'before'
          ? `create trigger shouts before insert or update on ${table} for each row execute function shop.shout_before();`
          : of.trigger === 'after'
            ? `create trigger shouts after insert or update on ${table} for each row execute function shop.shout_after();`
            : `create constraint trigger shouts after insert or update on ${table} deferrable initially deferred for each row execute function shop.shout_after();`
    }`;
}

export function resourceOf(of: Picture, at: number): Resource {
  const [first = 'k0', ...more] = keysOf(of);
  const base = { table: `shop.t${at}`, key: more.length === 0 ? first : [first, ...more] };
  return of.does === 'delete'
    ? {
        ...base,
        ...{ changes: [], deletes: true },
        ...((of.goes !== 'none' || of.self) &&
          of.declared && {
            cascades: [
              ...(of.self ? [`shop.t${at}`] : []),
              ...(of.goes === 'none' ? [] : [`shop.t${at}_child`]),
              ...(of.goes === 'diamond' ? [`shop.t${at}_leaf`] : []),
            ],
          }),
      }
    : {
        ...base,
        changes: [...columnsOf(of), ...(of.does === 'insert' ? othersOf(of) : [])],
        ...(of.generated && of.does === 'update' && { compares: ['made'] }),
      };
}
