import { afterAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Change, Image, Resource, Value } from '../../src/sdk/contract.js';
import { testDatabase } from '../support/database.js';
import { change, testShop } from '../support/shop.js';

/**
 * Tables of every shape that other teams may have, in rounds of some dozens: a job changes rows of each, users edit some
 * of them, and the run is restored. Each table is exact afterwards, or was refused by name when the job was loaded.
 */
const database = await testDatabase();
const { owner } = database;
const shop = await testShop(database);
afterAll(() => shop.platform.planner.close());

const SEED = Number(process.env['PORTCULLIS_SEED'] ?? 1);
const ROUNDS = Number(process.env['PORTCULLIS_ROUNDS'] ?? 16);
const TABLES = 45;
/** Of each feature, so many tables at least. */
const LEAST = 200;

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

const picture = fc.record({
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
type Picture = typeof picture extends fc.Arbitrary<infer Of> ? Of : never;

const FEATURES: Readonly<Record<string, (of: Picture) => boolean>> = {
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
};

/** PostgreSQL 16 and older have no identity columns in partitioned tables. */
function isPartitioned({ partitioned, key }: Picture): boolean {
  return partitioned && key !== 'identity';
}

/** Whether a job on such a table is to be refused at load. */
function isRefused({ does, goes, declared }: Picture): boolean {
  return does === 'delete' && goes !== 'none' && !declared;
}

await owner.query(`
  create function shop.shout_before() returns trigger language plpgsql as 'begin new.v := upper(new.v); return new; end';
  create function shop.shout_after() returns trigger language plpgsql as $f$ begin
    execute format('update %I.%I set v = upper(v) where v <> upper(v)', tg_table_schema, tg_table_name); return null; end $f$`);

const columnsOf = ({ types }: Picture): string[] => ['v', ...types.map((_, at) => `c${at}`)];
const keysOf = ({ key }: Picture): string[] => (key === 'composite' ? ['k0', 'k1'] : ['k0']);
const KEY_TYPES = {
  composite: 'text',
  identity: 'int generated always as identity',
  text: 'text',
  uuid: 'uuid',
  bigint: 'bigint',
};
const keyValues = ({ key }: Picture, n: number): string[] =>
  key === 'composite'
    ? [`k"${n % 2}`, String(n)]
    : [key === 'uuid' ? `00000000-0000-4000-8000-00000000000${n}` : key === 'text' ? `k ${n}` : String(n)];

const literal = (value: string | null): string =>
  value === null ? 'null' : `'${value.replaceAll("'", "''")}'`;
const valuesOf = (of: Picture, which: 0 | 1 | 2): (string | null)[] => [
  TYPES.text[which],
  ...of.types.map((type) => TYPES[type][which]),
];

function schemaOf(of: Picture, at: number): string {
  const keys = keysOf(of);
  const table = `shop.t${at}`;
  const parted = isPartitioned(of);
  const child = `shop.t${at}_child`;
  const rows = [1, 2, 3, 4].map(
    (n) => `(${[...keyValues(of, n), ...valuesOf(of, 0)].map(literal).join(', ')})`,
  );
  return `
    create table ${table} (k0 ${KEY_TYPES[of.key]}${of.key === 'composite' ? ', k1 int' : ''}, v text,
      ${of.types.map((type, n) => `c${n} ${type}`).join(', ')}
      ${of.generated ? ', made text generated always as (v || v) stored' : ''}, primary key (${keys.join(', ')})) ${parted ? 'partition by hash (k0)' : ''};
    ${parted ? [0, 1].map((n) => `create table ${table}_${n} partition of ${table} for values with (modulus 2, remainder ${n});`).join('') : ''}
    insert into ${table} (${[...keys, ...columnsOf(of)].join(', ')}) overriding system value values ${rows.join(', ')};
    ${of.key === 'identity' ? `select setval(pg_get_serial_sequence('${table}', 'k0'), 4);` : ''}
    ${
      of.goes === 'none'
        ? ''
        : `create table ${child} (id int primary key, ${keys.map((key, n) => `${key} ${n === 1 ? 'int' : (KEY_TYPES[of.key].split(' ')[0] ?? '')}`).join(', ')}, note jsonb,
             constraint goes${at} foreign key (${keys.join(', ')}) references ${table} on delete ${of.does !== 'delete' ? 'no action' : of.goes === 'diamond' ? 'cascade' : of.goes});
           insert into ${child} select n, ${keys.join(', ')}, '{"x": 1.0}' from (select row_number() over () as n, ${keys.join(', ')} from ${table}, generate_series(1, 2)) p;`
    }
    ${
      of.goes !== 'diamond'
        ? ''
        : `create table ${table}_leaf (id int primary key, child int constraint leaf${at} references ${child} on delete ${of.does === 'delete' ? 'cascade' : 'no action'},
             ${keys.map((key, n) => `${key} ${n === 1 ? 'int' : (KEY_TYPES[of.key].split(' ')[0] ?? '')}`).join(', ')},
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

function resourceOf(of: Picture, at: number): Resource {
  const [first = 'k0', ...more] = keysOf(of);
  const base = { table: `shop.t${at}`, key: more.length === 0 ? first : [first, ...more] };
  return of.does === 'delete'
    ? {
        ...base,
        ...{ changes: [], deletes: true },
        ...(of.goes !== 'none' &&
          of.declared && {
            cascades: [`shop.t${at}_child`, ...(of.goes === 'diamond' ? [`shop.t${at}_leaf`] : [])],
          }),
      }
    : {
        ...base,
        changes: columnsOf(of),
        ...(of.generated && of.does === 'update' && { compares: ['made'] }),
      };
}

/** What the job does to a table: to every row of it, or with two more. */
async function* changesOf(
  of: Picture,
  at: number,
  rows: (sql: string) => AsyncIterable<Image>,
): AsyncGenerator<Change> {
  const columns = columnsOf(of);
  const after = Object.fromEntries(columns.map((name, n) => [name, valuesOf(of, 1)[n] ?? null]));
  const keyed = (values: readonly Value[]): Change['key'] =>
    values.length === 1 ? String(values[0]) : values;
  if (of.does === 'insert') {
    for (const n of [5, 6])
      yield change(
        `t${at}`,
        of.key === 'identity' ? 'generated' : keyed(keyValues(of, n)),
        null,
        after,
        `t${n - 4}`,
      );
    return;
  }
  let n = 0;
  for await (const row of rows(`select * from shop.t${at} order by ${keysOf(of).join(', ')}`)) {
    n = (n % 3) + 1;
    const read = [...columns, ...(of.generated && of.does === 'update' ? ['made'] : [])];
    const before = Object.fromEntries(read.map((name) => [name, row[name] ?? null]));
    const key = keyed(keysOf(of).map((name) => row[name] ?? null));
    yield change(`t${at}`, key, before, of.does === 'delete' ? null : after, `t${n}`);
  }
}

type Rows = ReadonlyMap<string, string>;

async function rowsNow(of: Picture, at: number): Promise<{ readonly own: Rows; readonly child: Rows }> {
  const read = async (table: string, key: string): Promise<Rows> => {
    const { rows } = await owner.query<{ key: string; row: string }>(
      `select ${key} as key, t::text as row from ${table} t`,
    );
    return new Map(rows.map(({ key: of_, row }) => [of_, row]));
  };
  return {
    own: await read(
      `shop.t${at}`,
      `jsonb_build_array(${keysOf(of)
        .map((name) => `${name}::text`)
        .join(', ')})::text`,
    ),
    child: new Map([
      ...(of.goes === 'none' ? [] : await read(`shop.t${at}_child`, 'id::text')),
      ...(of.goes === 'diamond' ? await read(`shop.t${at}_leaf`, `'leaf ' || id`) : []),
    ]),
  };
}

/** A user edits rows that the run has changed or made, and makes others in the place of rows that it has deleted. */
async function edit(of: Picture, at: number): Promise<void> {
  // A row that is held back has its batch halved time and again, through every table of the round.
  if (of.goes === 'diamond' && at % 5 > 0) return;
  const set = columnsOf(of).map((name, n) => `${name} = ${literal(valuesOf(of, 2)[n] ?? null)}`);
  for (const [n, edited] of of.edits.entries()) {
    const row = of.does === 'insert' ? n + 5 : n + 1;
    if (!edited || row > 6) continue;
    const values = keyValues(of, row).map(literal);
    const columns = [...keysOf(of), ...columnsOf(of)];
    await owner.query(
      of.does === 'delete'
        ? `insert into shop.t${at} (${columns.join(', ')}) overriding system value values (${[...values, ...valuesOf(of, 2).map(literal)].join(', ')})`
        : `update shop.t${at} set ${set.join(', ')} where ${keysOf(of)
            .map((name, k) => `${name} = ${values[k] ?? ''}`)
            .join(' and ')}`,
    );
  }
}

test('is exact on any table, or refused when the job is loaded', async () => {
  const all = fc.sample(picture, { numRuns: ROUNDS * TABLES, seed: SEED });
  const coverage = new Map(Object.keys(FEATURES).map((name) => [name, { made: 0, restored: 0, refused: 0 }]));
  const count = (of: Picture, what: 'made' | 'restored' | 'refused'): void => {
    for (const [name, has] of Object.entries(FEATURES)) {
      const figures = coverage.get(name);
      if (figures && has(of)) figures[what] += 1;
    }
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    const pictures = all.slice(round * TABLES, (round + 1) * TABLES);
    await owner.query(pictures.map(schemaOf).join('\n'));
    await shop.grant();
    const resources = Object.fromEntries(pictures.map((of, at) => [`t${at}`, resourceOf(of, at)]));
    const error = await shop.load(shop.job(resources)).then(
      () => undefined,
      (caught: unknown) => caught as Error,
    );
    const served: Record<string, Resource> = {};
    for (const [at, of] of pictures.entries()) {
      count(of, 'made');
      const said = new RegExp(`resource t${at} \\(shop\\.t${at}\\): [^;]*constraint (goes|own)${at}`);
      if (isRefused(of)) {
        count(of, 'refused');
        expect(error?.message).toMatch(said);
      } else {
        expect(error?.message ?? '').not.toMatch(new RegExp(`resource t${at} `));
        const resource = resources[`t${at}`];
        if (resource) served[`t${at}`] = resource;
      }
    }
    const left = [...pictures.entries()].filter(([at]) => `t${at}` in served);
    const before = await Promise.all(left.map(([at, of]) => rowsNow(of, at)));
    const report = await shop.run(
      shop.job(served, async function* ({ rows }) {
        for (const [at, of] of left) yield* changesOf(of, at, rows);
      }),
      { apply: { lanes: 2, batch: 100, firstBatches: [5] } },
    );
    expect(report).toMatchObject({ status: 'succeeded', conflicts: 0 });
    const after = await Promise.all(left.map(([at, of]) => rowsNow(of, at)));
    for (const [at, of] of left) await edit(of, at);
    const edited = await Promise.all(left.map(([at, of]) => rowsNow(of, at)));
    const preview = await shop.preview(report.run.id);
    const restored = await shop.restore(report.run.id, 100);
    // A row that went with two comes back only where both do: one that a user keeps from it holds back the other.
    const { rows: held } = await owner.query<{ resource: string; key: string; refusal: string }>(
      `select distinct c.resource, c.key, x.refusal
       from portcullis_region.run r join portcullis_region.conflict x on x.run = r.id
       join portcullis_region.change c using (run, lane, seq)
       where r.restores = $1 and x.refusal is not null and not exists (
         select from portcullis_region.run l join portcullis_region.change d on d.run = l.id
         where l.restores = $1 and (d.resource, d.key) = (c.resource, c.key)
           and not exists (select from portcullis_region.conflict y where (y.run, y.lane, y.seq) = (d.run, d.lane, d.seq)))`,
      [report.run.id],
    );
    const heldBack = new Map<string, Set<string>>();
    for (const { resource, key, refusal } of held) {
      expect(refusal).toMatch(/violates foreign key constraint "(leaf|own)\d+"/);
      heldBack.set(resource, (heldBack.get(resource) ?? new Set()).add(key));
    }
    expect(restored).toMatchObject({
      report: { status: 'succeeded' },
      left: {
        restorable: [...heldBack.values()].reduce((sum, { size }) => sum + size, 0),
        conflicts: preview?.conflicts,
      },
    });
    for (const [n, [at, of]] of left.entries()) {
      const [was, ran, touched, now] = [before[n], after[n], edited[n], await rowsNow(of, at)];
      if (!was || !ran || !touched) throw new Error(`table ${at} was not read`);
      let exact = 0;
      const keptGone = new Set<string>();
      for (const key of new Set([...was.own.keys(), ...ran.own.keys(), ...touched.own.keys()])) {
        const values = JSON.parse(key) as string[];
        const named = values.length === 1 ? values[0] : JSON.stringify(values);
        const isHeld = heldBack.get(`t${at}`)?.has(named ?? '');
        if (isHeld === true) expect([of.goes, of.edits.includes(true)]).toEqual(['diamond', true]);
        const theirs = isHeld === true || touched.own.get(key) !== ran.own.get(key);
        expect({ of, key, row: now.own.get(key) }).toEqual({
          of,
          key,
          row: (theirs ? touched : was).own.get(key),
        });
        if (theirs) keptGone.add(key);
        else if (was.own.get(key) !== ran.own.get(key)) exact += 1;
      }
      // Without an edit of what they went with, all of them are back.
      if (keptGone.size === 0) expect({ of, rows: now.child }).toEqual({ of, rows: was.child });
      else
        for (const [key, row] of now.child) expect([was.child.get(key), ran.child.get(key)]).toContain(row);
      if (exact > 0) count(of, 'restored');
    }
    await owner.query(
      pictures
        .map(
          (of, at) =>
            `drop table shop.t${at} cascade; ${of.goes === 'diamond' ? `drop table shop.t${at}_leaf;` : ''} ${of.goes === 'none' ? '' : `drop table shop.t${at}_child;`}`,
        )
        .join('\n'),
    );
  }
  console.info(
    [...coverage]
      .map(
        ([name, { made, restored, refused }]) =>
          `${name}: ${made} tables, ${restored} restored, ${refused} refused`,
      )
      .join('\n'),
  );
  if (ROUNDS < 16) return;
  for (const [name, { made, restored, refused }] of coverage) {
    expect({ name, enough: made >= LEAST }).toEqual({ name, enough: true });
    expect({ name, some: restored > 0 && refused < made }).toEqual({ name, some: true });
  }
}, 900_000);
