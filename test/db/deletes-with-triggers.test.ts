/* eslint-disable @typescript-eslint/require-await */
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import type { Resource } from '../../src/sdk/contract.js';
import { testDatabase } from '../support/database.js';
import { change, testShop } from '../support/shop.js';

const database = await testDatabase();
const { owner } = database;
const shop = await testShop(database);
afterAll(() => shop.platform.planner.close());
afterEach(() => owner.query('drop table if exists shop.item, shop.log cascade'));

async function make(sql: string): Promise<void> {
  await owner.query(`set search_path to shop; ${sql}; reset search_path`);
  await shop.grant();
}

const ITEM = `create table item (id int primary key, name text, price numeric(8, 2), touched timestamptz);
  insert into item select n, 'item ' || n, n + 0.5, '2026-01-01' from generate_series(1, 10) n`;

describe('rows are deleted where triggers run', () => {
  const GONE: Resource = { table: 'shop.item', key: 'id', changes: [], deletes: true };
  const dropping = shop.job({ item: GONE }, async function* ({ rows }) {
    for await (const { id = null, ...row } of rows('select * from shop.item order by id'))
      yield change('item', String(id), row, null);
  });
  const trigger = (when: string, body: string): string =>
    `create or replace function shop.alters() returns trigger language plpgsql as $f$ begin ${body} end $f$;
     create trigger alters ${when} on item for each row execute function shop.alters()`;

  test('and brought back as they were, with what the triggers do to other tables left to them', async () => {
    await make(`${ITEM}; create table log (id int, what text);
      ${trigger('after delete or insert', `insert into shop.log values (coalesce(new.id, old.id), tg_op); return null;`)}`);
    const before = await shop.rowsOf('shop.item');
    const report = await shop.run(dropping);
    expect(report).toMatchObject({ status: 'succeeded', applied: { item: 10 }, conflicts: 0 });
    expect(await shop.rowsOf('shop.item')).toEqual([]);
    // What was tried before each batch is undone.
    const logged = await owner.query('select what, count(*) as n from shop.log group by what');
    expect(logged.rows).toEqual([{ what: 'DELETE', n: 10 }]);
    expect(await shop.restore(report.run.id)).toMatchObject({
      ...{ report: { status: 'succeeded' }, left: { restorable: 0, conflicts: 0 } },
    });
    expect(await shop.rowsOf('shop.item')).toEqual(before);
  });

  test.each([
    [
      'changes a row that is inserted',
      'before insert',
      `if new.id in (3, 4) then new.touched := now(); end if; return new;`,
      'item 3 would not be what it was once it was restored',
    ],
    [
      'does not let a row be inserted',
      'before insert',
      `if new.id in (3, 4) then raise exception 'not on Sundays'; end if; return new;`,
      'not on Sundays',
    ],
    [
      'keeps a row from being deleted',
      'before delete',
      `if old.id in (3, 4) then return null; end if; return old;`,
      null,
    ],
    [
      'puts a row back',
      'after delete',
      `if old.id in (3, 4) then insert into shop.item select old.*; end if; return null;`,
      'a trigger put row 3 of shop.item back once it was deleted',
    ],
  ])('not those that could not be restored, where one %s', async (_, when, body, refusal) => {
    await make(`${ITEM}; ${trigger(when, body)}`);
    const before = await shop.rowsOf('shop.item');
    const report = await shop.run(dropping);
    expect(report).toMatchObject({ status: 'succeeded', applied: { item: 8 }, conflicts: 2 });
    expect(await shop.rowsOf('shop.item')).toHaveLength(2);
    const { rows } = await owner.query<{ refusal: string | null }>(
      'select refusal from portcullis_region.conflict where run = $1 order by seq limit 1',
      [report.run.id],
    );
    expect(rows[0]?.refusal).toEqual(refusal === null ? null : expect.stringContaining(refusal));
    await shop.restore(report.run.id);
    expect(await shop.rowsOf('shop.item')).toEqual(before);
  });
});

describe('rows go with others where triggers run', () => {
  afterEach(() => owner.query('drop table if exists shop.part, shop.note cascade'));
  const resource: Resource = {
    ...{ table: 'shop.item', key: 'id', changes: [], deletes: true },
    cascades: ['shop.part', 'shop.note'],
  };
  const dropping = shop.job({ item: resource }, async function* ({ rows }) {
    for await (const { id = null, ...row } of rows('select * from shop.item order by id'))
      yield change('item', String(id), row, null);
  });
  const tables = ['shop.item', 'shop.part', 'shop.note'];
  const everything = (): Promise<string[][]> => Promise.all(tables.map((table) => shop.rowsOf(table)));
  const PARTS = `${ITEM};
    create table part (id int primary key, item int references item on delete cascade, seen int not null default 0);
    create table note (id int primary key, item int references item on delete set null, seen int not null default 0);
    insert into part select n, 1 + n % 10, 0 from generate_series(1, 20) n;
    insert into note select n, 1 + n % 10, 0 from generate_series(1, 20) n`;
  const trigger = (table: string, when: string, body: string): string =>
    `create or replace function shop.alters_${table}() returns trigger language plpgsql as $f$ begin ${body} end $f$;
     create trigger alters ${when} on ${table} for each row execute function shop.alters_${table}()`;

  test.each(['after', 'deferred'])(
    '%s: exactly, with what they do to other tables left to them',
    async (when) => {
      await make(`${PARTS}; create table log (what text);
      create or replace function shop.logs() returns trigger language plpgsql as
        $f$ begin insert into shop.log values (tg_table_name || ' ' || tg_op); return null; end $f$;
      ${['part', 'note']
        .map((table) =>
          when === 'after'
            ? `create trigger logs after insert or update or delete on ${table} for each row execute function shop.logs()`
            : `create constraint trigger logs after insert or update or delete on ${table} deferrable initially deferred for each row execute function shop.logs()`,
        )
        .join('; ')}`);
      const before = await everything();
      const report = await shop.run(dropping);
      expect(report).toMatchObject({ status: 'succeeded', applied: { item: 10 }, conflicts: 0 });
      expect(await shop.rowsOf('shop.part')).toEqual([]);
      // What was tried before each batch is undone.
      const logged = async () =>
        (
          await owner.query<{ what: string; n: number }>(
            'select what, count(*) as n from shop.log group by what order by what',
          )
        ).rows;
      expect(await logged()).toEqual([
        { what: 'note UPDATE', n: 20 },
        { what: 'part DELETE', n: 20 },
      ]);
      const forecast = await shop.preview(report.run.id);
      expect(forecast?.triggers).toEqual([
        {
          resource: 'item',
          table: 'shop.part',
          trigger: 'logs',
          on: ['insert'],
          when: expect.any(String),
          sets: [],
        },
        {
          resource: 'item',
          table: 'shop.note',
          trigger: 'logs',
          on: ['update'],
          when: expect.any(String),
          sets: [],
        },
      ]);
      expect(await shop.restore(report.run.id)).toMatchObject({
        ...{ report: { status: 'succeeded' }, left: { restorable: 0, conflicts: 0 } },
      });
      expect(await everything()).toEqual(before);
      expect(await logged()).toContainEqual({ what: 'part INSERT', n: 20 });
    },
  );

  test.each([
    [
      'changes a row that comes back',
      'part',
      'before insert',
      `if new.item in (3, 4) then new.seen := 1; end if; return new;`,
      /^row \["\d+"\] of shop\.part, which goes with it, would not be what it was once it was restored: a trigger of shop\.part \(alters\)/,
    ],
    [
      'keeps a row from going',
      'part',
      'before delete',
      `if old.item in (3, 4) then return null; end if; return old;`,
      /^row \["\d+"\] of shop\.part, which goes with it, is there once it went: a trigger of shop\.part \(alters\)/,
    ],
    [
      'changes more of a row than its foreign key',
      'note',
      'before update',
      `if old.item in (3, 4) then new.seen := old.seen + 1; end if; return new;`,
      /^row \["\d+"\] of shop\.note, which goes with it, has changed more than its foreign key says/,
    ],
    [
      'lets no row come back',
      'part',
      'before insert',
      `if new.item in (3, 4) then raise exception 'not on Sundays'; end if; return new;`,
      /^not on Sundays$/,
    ],
  ])('not those that could not be restored, where one %s', async (_, table, when, body, refusal) => {
    await make(`${PARTS}; ${trigger(table, when, body)}`);
    const before = await everything();
    const report = await shop.run(dropping);
    expect(report).toMatchObject({ status: 'succeeded', applied: { item: 8 }, conflicts: 2 });
    const { rows } = await owner.query<{ refusal: string }>(
      'select refusal from portcullis_region.conflict where run = $1',
      [report.run.id],
    );
    for (const row of rows) expect(row.refusal).toMatch(refusal);
    expect(await shop.restore(report.run.id)).toMatchObject({ left: { restorable: 0, conflicts: 0 } });
    expect(await everything()).toEqual(before);
  });

  test('a restore refuses those that a trigger made since would alter, and names it', async () => {
    await make(PARTS);
    const before = await everything();
    const report = await shop.run(dropping);
    await make(
      trigger('part', 'before insert', `if new.item in (3, 4) then new.seen := 1; end if; return new;`),
    );
    const restored = await shop.restore(report.run.id);
    expect(restored).toMatchObject({
      report: { status: 'succeeded', reason: 'the database refused to restore 2 rows', applied: { item: 8 } },
    });
    await owner.query('drop trigger alters on shop.part');
    expect(await shop.restore(report.run.id)).toMatchObject({ left: { restorable: 0, conflicts: 0 } });
    expect(await everything()).toEqual(before);
  });
});

test('a key that a job in JavaScript gives as a number is named as what is wrong', async () => {
  await make(ITEM);
  const item: Resource = { table: 'shop.item', key: 'id', changes: ['name'] };
  const report = await shop.run(
    shop.job({ item }, async function* () {
      yield change('item', 1 as unknown as string, { name: 'item 1' }, { name: 'x' });
    }),
  );
  expect(report).toMatchObject({ status: 'refused' });
  expect(report.reason).toContain('the key of item is one text: String(…) of a number');
});
