import { afterAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Change, Image, Resource, Value } from '../../src/sdk/contract.js';
import { testDatabase } from '../support/database.js';
import {
  columnsOf,
  FEATURES,
  faultOf,
  goesWithItself,
  isRefusedSince,
  keysOf,
  keyValues,
  literal,
  migrationOf,
  othersOf,
  picture,
  resourceOf,
  schemaOf,
  valuesOf,
  whereKey,
  type Picture,
} from '../support/random-tables.js';
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
const TABLES = 42;
/** Of each feature, so many tables at least. */
const LEAST = 200;

await owner.query(`
  create table shop.logged (what text);
  create function shop.log() returns trigger language plpgsql as 'begin insert into shop.logged values (tg_op); return null; end';
  create function shop.shout_before() returns trigger language plpgsql as 'begin new.v := upper(new.v); return new; end';
  create function shop.shout_after() returns trigger language plpgsql as $f$ begin
    execute format('update %I.%I set v = upper(v) where v <> upper(v)', tg_table_schema, tg_table_name); return null; end $f$`);

/** What the job does to a table: to every row of it, or with two more; of rows that go with others, to these. */
async function* changesOf(
  of: Picture,
  at: number,
  rows: (sql: string) => AsyncIterable<Image>,
): AsyncGenerator<Change> {
  const columns = columnsOf(of);
  const after = (row: number): Image =>
    Object.fromEntries(columns.map((name, n) => [name, valuesOf(of, 1, row)[n] ?? null]));
  const keyed = (values: readonly Value[]): Change['key'] =>
    values.length === 1 ? String(values[0]) : values;
  if (of.does === 'insert') {
    for (const n of [5, 6])
      yield change(
        `t${at}`,
        of.key === 'identity' ? 'generated' : keyed(keyValues(of, n)),
        null,
        { ...after(n), ...Object.fromEntries(othersOf(of).map((name) => [name, null])) },
        `t${n - 4}`,
      );
    return;
  }
  let n = 0;
  for await (const row of rows(
    `select * from shop.t${at} ${goesWithItself(of) ? 'where p0 is null' : ''} order by ${keysOf(of).join(', ')}`,
  )) {
    n = (n % 3) + 1;
    const read = [
      ...columns,
      ...(of.does === 'delete' ? othersOf(of) : []),
      ...(of.generated && of.does === 'update' ? ['made'] : []),
    ];
    const before = Object.fromEntries(read.map((name) => [name, row[name] ?? null]));
    const key = keyed(keysOf(of).map((name) => row[name] ?? null));
    yield change(`t${at}`, key, before, of.does === 'delete' ? null : after(Number(row['x'])), `t${n}`);
  }
}

type Rows = ReadonlyMap<string, string>;

async function rowsNow(
  of: Picture,
  at: number,
  table = `shop.t${at}`,
): Promise<{ readonly own: Rows; readonly child: Rows }> {
  const read = async (table: string, key: string): Promise<Rows> => {
    const { rows } = await owner.query<{ key: string; row: string }>(
      `select ${key} as key, t::text as row from ${table} t`,
    );
    return new Map(rows.map(({ key: of_, row }) => [of_, row]));
  };
  return {
    own: await read(
      table,
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
  if ((of.goes === 'diamond' || goesWithItself(of)) && at % 5 > 0) return;
  for (const [n, edited] of of.edits.entries()) {
    const row = of.does === 'insert' ? n + 5 : n + 1;
    if (!edited || row > 6) continue;
    const set = columnsOf(of).map((name, k) => `${name} = ${literal(valuesOf(of, 2, row)[k] ?? null)}`);
    const values = keyValues(of, row).map(literal);
    const columns = [...keysOf(of), ...columnsOf(of)];
    await owner.query(
      of.does === 'delete'
        ? `insert into shop.t${at} (${columns.join(', ')}) overriding system value values (${[...values, ...valuesOf(of, 2, row).map(literal)].join(', ')})`
        : `update shop.t${at} set ${set.join(', ')} where ${whereKey(of, row)}`,
    );
  }
}

/** Whether two rows of a table are restored together, or neither: 3 goes with 1, and 4 with 2. */
function goTogether(of: Picture, one: string, other: string): boolean {
  if (one === other || !goesWithItself(of)) return one === other;
  const at = (key: string): number =>
    [1, 2, 3, 4].findIndex((n) => JSON.stringify(keyValues(of, n)) === JSON.stringify(JSON.parse(key)));
  return Math.abs(at(one) - at(other)) === 2;
}

async function bypassRowSecurity(bypass: boolean): Promise<void> {
  const { rows } = await owner.query<{ role: string }>('select role from portcullis_store.login');
  for (const { role } of rows) await owner.query(`alter role ${role} ${bypass ? '' : 'no'}bypassrls`);
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
    await owner.query(pictures.map((_, at) => `create table shop.was${at} as table shop.t${at};`).join('\n'));
    await shop.grant();
    const bypass = round % 3 > 0;
    await bypassRowSecurity(bypass);
    const resources = Object.fromEntries(pictures.map((of, at) => [`t${at}`, resourceOf(of, at)]));
    const error = await shop.load(shop.job(resources)).then(
      () => undefined,
      (caught: unknown) => caught as Error,
    );
    const served: Record<string, Resource> = {};
    for (const [at, of] of pictures.entries()) {
      count(of, 'made');
      const said = faultOf(of, at, bypass);
      if (said) {
        count(of, 'refused');
        expect(error?.message).toMatch(said);
      } else {
        expect(error?.message ?? '').not.toMatch(new RegExp(`resource t${at} `));
        const resource = resources[`t${at}`];
        if (resource) served[`t${at}`] = resource;
      }
    }
    const left = [...pictures.entries()].filter(([at]) => `t${at}` in served);
    const children = await Promise.all(left.map(async ([at, of]) => (await rowsNow(of, at)).child));
    const report = await shop.run(
      shop.job(served, async function* ({ rows }) {
        for (const [at, of] of left) yield* changesOf(of, at, rows);
      }),
      { apply: { lanes: 2, batch: 100, firstBatches: [5] } },
    );
    expect(report).toMatchObject({ status: 'succeeded', conflicts: 0, reason: 'every change was applied' });
    await owner.query(pictures.map(migrationOf).join('\n'));
    const before = await Promise.all(
      left.map(async ([at, of], n) => ({
        own: (await rowsNow(of, at, `shop.was${at}`)).own,
        child: children[n] ?? new Map<string, string>(),
      })),
    );
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
      expect(refusal).toMatch(
        /violates foreign key constraint "(leaf|own)\d+"|rows of shop\.t\d+ that went with it cannot be put back/,
      );
      heldBack.set(resource, (heldBack.get(resource) ?? new Set()).add(key));
    }
    // The dry run has said what the restore then does.
    const sum = (counts: Readonly<Record<string, number>> = {}): number =>
      Object.values(counts).reduce((all_, n) => all_ + n, 0);
    expect(restored?.report?.status).toBe('succeeded');
    expect({ written: sum(restored?.report?.applied), ...restored?.left }).toEqual({
      written: preview?.restorable,
      ...{ applied: preview?.applied, alreadyRestored: preview?.restorable, restorable: 0 },
      ...{ asBefore: preview?.asBefore, conflicts: preview?.conflicts },
    });
    for (const [n, [at, of]] of left.entries()) {
      const [was, ran, touched, now] = [before[n], after[n], edited[n], await rowsNow(of, at)];
      if (!was || !ran || !touched) throw new Error(`table ${at} was not read`);
      let exact = 0;
      const keptGone = new Set<string>();
      const keys = new Set([...was.own.keys(), ...ran.own.keys(), ...touched.own.keys()]);
      const isTouched = (key: string): boolean => {
        const values = JSON.parse(key) as string[];
        const named = values.length === 1 ? values[0] : JSON.stringify(values);
        const isHeld = heldBack.get(`t${at}`)?.has(named ?? '') === true;
        if (isHeld)
          expect([of.goes === 'diamond' || goesWithItself(of), of.edits.includes(true)]).toEqual([
            true,
            true,
          ]);
        return isHeld || touched.own.get(key) !== ran.own.get(key);
      };
      for (const key of keys) {
        const theirs =
          isRefusedSince(of) || [...keys].some((each) => goTogether(of, key, each) && isTouched(each));
        expect({ of, key, row: now.own.get(key) }).toEqual({
          of,
          key,
          row: (theirs ? touched : was).own.get(key),
        });
        if (theirs) keptGone.add(key);
        else if (was.own.get(key) !== ran.own.get(key)) exact += 1;
      }
      if (isRefusedSince(of)) count(of, 'refused');
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
            `drop table shop.t${at} cascade; drop table shop.was${at}; ${of.goes === 'diamond' ? `drop table shop.t${at}_leaf;` : ''} ${of.goes === 'none' ? '' : `drop table shop.t${at}_child;`}`,
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
