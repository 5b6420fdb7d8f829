import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import type { Image, Resource } from '../../src/sdk/contract.js';
import { restoreConflicts } from '../../src/journal/restore-preview.js';
import { readRestored } from '../../src/worker/restore-plan-phase.js';
import { testDatabase } from '../support/database.js';
import { change, testShop } from '../support/shop.js';

const database = await testDatabase();
const { owner } = database;
const shop = await testShop(database);
afterAll(() => shop.platform.planner.close());
afterEach(() => owner.query('drop table if exists shop.part, shop.item'));

/** Makes tables for one test. */
async function make(sql: string): Promise<void> {
  await owner.query(`set search_path to shop; ${sql}; reset search_path`);
  await shop.grant();
}

/** The dry run names these rows, each for its reason, and the restore then leaves just these. */
async function expectHeld(
  run: string,
  applied: number,
  why: Readonly<Record<string, RegExp>>,
): Promise<void> {
  const held = Object.keys(why).length;
  const said = await shop.preview(run);
  expect(said).toMatchObject({ applied, restorable: applied - held, conflicts: held });
  const { region } = shop.platform;
  const found: Record<string, string> = {};
  for await (const { key, refusal } of restoreConflicts(region, run, await readRestored(region, run)))
    found[key] = refusal ?? '';
  expect(Object.keys(found).sort()).toEqual(Object.keys(why).sort());
  for (const [key, text] of Object.entries(why)) expect(found[key]).toMatch(text);
  const restored = await shop.restore(run);
  expect(restored?.report).toMatchObject({ applied: { item: applied - held }, conflicts: held });
  expect(restored?.left).toMatchObject({ alreadyRestored: applied - held, restorable: 0, conflicts: held });
}

describe('the dry run of a restore asks what the restore will be asked:', () => {
  const NAMED = `create table item (id int primary key, name text, price numeric(8, 2), seats int4range, active boolean not null default true,
      code text generated always as (lower(name)) stored);
    insert into item select n, 'Item ' || n, n + 0.5, int4range(n * 10, n * 10 + 10) from generate_series(1, 6) n`;
  const named: Resource = { table: 'shop.item', key: 'id', changes: ['name', 'price', 'seats'] };
  const leaving = (row: Image): Image => ({
    name: `left ${String(row['name'])}`,
    price: String(Number(row['price']) + 100),
    seats: `[${String(Number(row['price']) * 10_000)},${String(Number(row['price']) * 10_000 + 5)})`,
  });

  const leave = shop.job({ item: named }, async function* ({ rows }) {
    for await (const { id, ...before } of rows('select id, name, price, seats from shop.item order by id'))
      yield change('item', String(id), before, leaving(before));
  });

  test.each<[string, string, string, Readonly<Record<string, RegExp>>]>([
    [
      'a unique key',
      'alter table item add constraint one_name unique (name)',
      `insert into item (id, name) values (7, 'Item 2')`,
      { 2: /another row of shop.item has its value by now \(unique index one_name\)/ },
    ],
    [
      'a unique index of an expression, for some rows',
      'create unique index few on item (lower(name)) where active',
      `insert into item (id, name, active) values (7, 'iTEM 2', true), (8, 'item 3', false)`,
      { 2: /unique index few/ },
    ],
    [
      'a unique index of a computed column, where nulls are the same',
      'create unique index coded on item (code) nulls not distinct',
      `insert into item (id, name) values (7, 'ITEM 4'), (8, null)`,
      { 4: /unique index coded/ },
    ],
    [
      'an exclusion constraint',
      'alter table item add constraint apart exclude using gist (seats with &&) where (active)',
      `insert into item (id, name, seats) values (7, 'wide', '[25,45)')`,
      {
        2: /in its way by now \(exclusion constraint apart\)/,
        3: /exclusion constraint apart/,
        4: /exclusion constraint apart/,
      },
    ],
    [
      'a check constraint, and a column that may not be null, by now',
      `update item set name = null where id = 5`,
      `alter table item add constraint dear check (price > 2) not valid, alter column name set not null`,
      {
        1: /it would break check constraint dear of shop.item/,
        5: /column name of shop.item may not be null/,
      },
    ],
    [
      'a value that waits for one that is held',
      `alter table item add constraint one_name unique (name);
       update item set name = case id when 1 then 'left Item 2' when 2 then 'Item 2' else name end`,
      `insert into item (id, name) values (7, 'Item 2')`,
      { 1: /unique index one_name/, 2: /unique index one_name/ },
    ],
  ])('%s', async (_, before, meanwhile, why) => {
    await make(`${NAMED}; ${before}`);
    // Row 2 takes the value that row 1 has given up, in the last case.
    const report = await shop.run(leave, {
      apply: { lanes: 1, batch: 1, firstBatches: [] },
    });
    expect(report).toMatchObject({ applied: { item: 6 }, conflicts: 0 });
    await owner.query(`set search_path to shop; ${meanwhile}; reset search_path`);
    await expectHeld(report.run.id, 6, why);
  });

  test('also of rows that come back, with those that went with them', async () => {
    await make(`create table item (id int primary key, name text unique);
      create table part (id int primary key, item int not null references item on delete cascade, label text constraint labelled unique, n int);
      insert into item select n, 'item ' || n from generate_series(1, 5) n;
      insert into part select n, n, 'part ' || n, n from generate_series(1, 5) n`);
    const resource: Resource = {
      ...{ table: 'shop.item', key: 'id', changes: [], deletes: true },
      cascades: ['shop.part'],
    };
    const report = await shop.run(
      shop.job({ item: resource }, async function* ({ rows }) {
        for await (const { id, name } of rows('select id, name from shop.item where id < 5 order by id'))
          yield change('item', String(id), { name: name ?? null }, null);
      }),
    );
    expect(report).toMatchObject({ applied: { item: 4 }, conflicts: 0 });
    await owner.query(`
      insert into shop.item values (6, 'item 1');
      insert into shop.part values (7, 5, 'part 2', 7);
      alter table shop.part add constraint few check (n <> 3) not valid`);
    await expectHeld(report.run.id, 4, {
      1: /unique index item_name_key/,
      2: /another row of shop.part has its value by now \(unique index labelled\)/,
      3: /it would break check constraint few of shop.part/,
    });
  });

  test('but nothing that its login may not read: then the restore finds it', async () => {
    await make(
      `${NAMED}; alter table item add column secret text default 'none', add constraint kept check (secret <> 'no')`,
    );
    const { rows } = await owner.query<{ role: string }>(
      `select role from portcullis_store.login where login = 'worker'`,
    );
    await owner.query(
      rows
        .map(
          ({ role }) => `revoke select on shop.item from ${role};
            grant select (id, name, price, seats, active, code) on shop.item to ${role}`,
        )
        .join(';'),
    );
    const report = await shop.run(leave);
    await owner.query(
      `set search_path to shop; alter table item drop constraint kept, add constraint kept check (secret <> 'none') not valid; reset search_path`,
    );
    expect(await shop.preview(report.run.id)).toMatchObject({ restorable: 6, conflicts: 0 });
    expect((await shop.restore(report.run.id))?.report).toMatchObject({ conflicts: 6 });
  });
});
