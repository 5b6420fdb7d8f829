/* eslint-disable @typescript-eslint/require-await */
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import type { Image, JobDefinition, Resource } from '../../src/sdk/contract.js';
import { loadJob } from '../../src/worker/registry.js';
import { asOf } from '../../src/journal/as-of.js';
import { listChanges } from '../../src/journal/browse-changes.js';
import { testDatabase } from '../support/database.js';
import { change, testShop } from '../support/shop.js';

const database = await testDatabase();
const { owner } = database;
const shop = await testShop(database);
afterAll(() => shop.platform.planner.close());

/** Makes a table for one test. */
async function make(sql: string): Promise<void> {
  await owner.query(`set search_path to shop; ${sql}; reset search_path`);
  await shop.grant();
}

afterEach(async () => {
  await owner.query(`
    do $$ declare it text; begin
      for it in select format('drop table if exists shop.%I cascade', relname) from pg_class
                where relnamespace = 'shop'::regnamespace and relkind in ('r', 'p') and relname <> 'tenant' loop execute it; end loop;
      for it in select format('drop view if exists shop.%I cascade', relname) from pg_class
                where relnamespace = 'shop'::regnamespace and relkind = 'v' loop execute it; end loop;
    end $$`);
});

/** Gives each row of a table other values. */
const setting = (resource: Resource, to: (row: Image) => Image, key = 'id'): JobDefinition =>
  shop.job({ item: resource }, async function* ({ rows }) {
    const { changes, compares = [] } = resource;
    const columns = [...changes, ...compares];
    for await (const row of rows(
      `select ${key}, ${columns.join(', ')} from ${resource.table} order by ${key}`,
    )) {
      const before = Object.fromEntries(columns.map((name) => [name, row[name] ?? null]));
      yield change('item', String(row[key]), before, to(row));
    }
  });

const ITEM = `create table item (id int primary key, name text, price numeric(8, 2), touched timestamptz);
  insert into item select n, 'item ' || n, n + 0.5, '2026-01-01' from generate_series(1, 10) n`;
const item = { table: 'shop.item', key: 'id', changes: ['name', 'price'] } as const;
const raise = (row: Image): Image => ({ name: `${String(row['name'])}!`, price: String(row['price']) });

describe('a table with triggers', () => {
  test.each([
    [
      'before, that rounds',
      `create or replace function shop.alters() returns trigger language plpgsql as 'begin new.name := upper(new.name); return new; end';
       create trigger alters before update on item for each row when (new.name like '%!') execute function shop.alters()`,
    ],
    [
      'afterwards, that changes the row again',
      `create or replace function shop.alters() returns trigger language plpgsql as $f$ begin
         update shop.item set name = upper(new.name) where id = new.id and name like '%!' and name <> upper(new.name); return null; end $f$;
       create trigger alters after update on item for each row execute function shop.alters()`,
    ],
    [
      'at the commit, that changes the row again',
      `create or replace function shop.alters() returns trigger language plpgsql as $f$ begin
         update shop.item set name = upper(new.name) where id = new.id and name like '%!' and name <> upper(new.name); return null; end $f$;
       create constraint trigger alters after update on item deferrable initially deferred for each row execute function shop.alters()`,
    ],
  ])('%s, is restored by the rows as they were stored', async (_, trigger) => {
    await make(`${ITEM}; ${trigger}`);
    const before = await shop.rowsOf('shop.item');
    const report = await shop.run(setting(item, raise));
    expect(report).toMatchObject({ status: 'succeeded', applied: { item: 10 }, conflicts: 0 });
    expect((await shop.rowsOf('shop.item'))[0]).toBe('(1,"ITEM 1!",1.50,"2026-01-01 00:00:00+00")');
    const { items } = await listChanges(owner, report.run.id, {}, { limit: 100 });
    expect(items.find(({ key }) => key === '1')).toMatchObject({ after: { name: 'ITEM 1!', price: '1.50' } });
    const shape = (await shop.load(setting(item, raise))).shapes.get('item');
    if (shape)
      expect(await asOf(owner, { job: 'shop', shape, key: '1' }, new Date())).toMatchObject({
        image: { name: 'ITEM 1!' },
        from: 'change-before',
      });
    await owner.query(`update shop.item set price = 0 where id = 7`);
    expect(await shop.preview(report.run.id)).toMatchObject({ restorable: 9, conflicts: 1 });
    const restored = await shop.restore(report.run.id);
    expect(restored).toMatchObject({
      report: { status: 'succeeded' },
      left: { restorable: 0, conflicts: 1 },
    });
    const now = await shop.rowsOf('shop.item');
    expect(now.filter((row) => !before.includes(row))).toEqual([
      '(7,"ITEM 7!",0.00,"2026-01-01 00:00:00+00")',
    ]);
    // The restore is a run as well: what it did can be restored.
    const again = await shop.restore(restored?.report?.run.id ?? '');
    expect(again).toMatchObject({ report: { status: 'succeeded' }, left: { restorable: 0, conflicts: 0 } });
    expect((await shop.rowsOf('shop.item'))[0]).toBe('(1,"ITEM 1!",1.50,"2026-01-01 00:00:00+00")');
  });

  test('keeps nothing of rows that are stored as planned', async () => {
    await make(`${ITEM}; create or replace function shop.alters() returns trigger language plpgsql as 'begin new.touched := now(); return new; end';
      create trigger alters before update on item for each row execute function shop.alters()`);
    const report = await shop.run(setting(item, raise));
    const { rowCount } = await owner.query('select from portcullis_region.stored where run = $1', [
      report.run.id,
    ]);
    expect(rowCount).toBe(0);
  });

  test('refuses a change whose row a trigger deletes', async () => {
    await make(`${ITEM}; create or replace function shop.alters() returns trigger language plpgsql as $f$ begin
         if new.id = 4 then delete from shop.item where id = new.id; end if; return null; end $f$;
       create trigger alters after update on item for each row execute function shop.alters()`);
    const report = await shop.run(setting(item, raise));
    expect(report).toMatchObject({ status: 'succeeded', applied: { item: 9 }, conflicts: 1 });
    const { rows } = await owner.query('select refusal from portcullis_region.conflict where run = $1', [
      report.run.id,
    ]);
    expect(rows).toEqual([{ refusal: 'a trigger deleted row 4 of shop.item once it was written' }]);
    expect(await shop.rowsOf('shop.item')).toHaveLength(10);
  });
});

describe('a key', () => {
  test('of several columns names rows of a partitioned table, which move between its partitions', async () => {
    await make(`
      create table item (tenant text, no int, day date, state text, primary key (tenant, no, day)) partition by list (tenant);
      create table item_a partition of item for values in ('a', 'a"b'); create table item_c partition of item for values in ('c');
      insert into item select case n % 3 when 0 then 'a' when 1 then 'a"b' else 'c' end, n, '2026-01-01', 'new' from generate_series(1, 9) n`);
    const before = await shop.rowsOf('shop.item');
    const resource: Resource = { table: 'shop.item', key: ['tenant', 'no', 'day'], changes: ['state'] };
    const dropped: Resource = {
      table: 'shop.item',
      key: ['tenant', 'no', 'day'],
      changes: [],
      deletes: true,
    };
    const definition = shop.job({ item: resource, dropped }, async function* ({ rows }) {
      for await (const { tenant = '', no = 0, day = '', state } of rows(
        'select * from shop.item order by no',
      )) {
        const image = { state: state ?? null };
        if (Number(no) > 6) yield change('dropped', [tenant, no, day], image, null);
        else yield change('item', [tenant, no, day], image, { state: 'done' });
      }
    });
    const report = await shop.run(definition);
    expect(report).toMatchObject({ status: 'succeeded', applied: { item: 6, dropped: 3 }, conflicts: 0 });
    expect(await shop.rowsOf('shop.item_c')).toEqual(['(c,2,2026-01-01,done)', '(c,5,2026-01-01,done)']);
    await owner.query(`update shop.item set state = 'mine' where no = 5`);
    expect(await shop.preview(report.run.id)).toMatchObject({ restorable: 8, conflicts: 1 });
    await shop.restore(report.run.id);
    expect(await shop.rowsOf('shop.item')).toEqual(
      before.map((row) => row.replace('(c,5,2026-01-01,new)', '(c,5,2026-01-01,mine)')),
    );
  });

  test('has as many values as columns, and none of them null', async () => {
    await make(
      `create table item (a int, b int, state text, primary key (a, b)); insert into item values (1, 1, 'x')`,
    );
    const resource: Resource = { table: 'shop.item', key: ['a', 'b'], changes: ['state'] };
    const keyed = async (key: string | readonly (number | null)[]) => {
      const report = await shop.run(
        shop.job({ item: resource }, async function* () {
          yield change('item', key, { state: 'x' }, { state: 'y' });
        }),
      );
      return report.reason;
    };
    expect(await keyed('1')).toContain('the key of item is a list of 2 values: a, b');
    expect(await keyed([1])).toContain('the key of item is a list of 2 values: a, b');
    expect(await keyed([1, null])).toContain('the key has a null');
  });

  test('is drawn from its sequence by a row that is inserted, and kept by one that is restored', async () => {
    await make(`create table item (id int generated always as identity primary key, name text);
      insert into item (name) values ('first'), ('second')`);
    const whole: Resource = { table: 'shop.item', key: 'id', changes: ['name'] };
    const inserting = (key: string) =>
      shop.job({ item: whole }, async function* () {
        yield change('item', key, null, { name: 'made' });
        if (key === 'generated') yield change('item', key, null, { name: 'made as well' }, 't2');
        yield change('item', '1', { name: 'first' }, null);
      });
    expect((await shop.run(inserting('9'))).reason).toContain("give key: 'generated'");
    const before = await shop.rowsOf('shop.item');
    const report = await shop.run(inserting('generated'));
    expect(report).toMatchObject({ status: 'succeeded', applied: { item: 3 }, conflicts: 0 });
    const { rows } = await owner.query(
      `insert into shop.item (name) values ('by the application') returning id`,
    );
    expect(rows).toEqual([{ id: 5 }]);
    expect(await shop.preview(report.run.id)).toMatchObject({ restorable: 3, conflicts: 0 });
    await shop.restore(report.run.id);
    expect(await shop.rowsOf('shop.item')).toEqual([...before, '(5,"by the application")']);
  });
});

describe('a table that has changed since the run', () => {
  const ran = async (): Promise<{ readonly id: string; readonly before: readonly string[] }> => {
    await make(`${ITEM}; create table note (id int primary key, text text);
      insert into note select n, 'note ' || n from generate_series(1, 4) n`);
    const before = await shop.rowsOf('shop.item');
    const note: Resource = { table: 'shop.note', key: 'id', changes: [], deletes: true };
    const definition = shop.job({ item, note }, async function* ({ rows }) {
      for await (const row of rows('select id, name, price from shop.item'))
        yield change(
          'item',
          String(row['id']),
          { name: row['name'] ?? null, price: row['price'] ?? null },
          { name: row['name'] ?? null, price: '7.25' },
        );
      for await (const { id, text } of rows('select id, text from shop.note where id < 4'))
        yield change('note', String(id), { text: text ?? null }, null);
    });
    const { run, status } = await shop.run(definition);
    expect(status).toBe('succeeded');
    return { id: run.id, before };
  };

  test('keeps what its new columns have, and fills them in for rows that come back', async () => {
    const { id } = await ran();
    await owner.query(`alter table shop.item add column colour text not null default 'red';
      alter table shop.note add column colour text not null default 'blue'; update shop.item set colour = 'green' where id = 1`);
    expect(await shop.preview(id)).toMatchObject({ restorable: 13, conflicts: 0 });
    expect(await shop.restore(id)).toMatchObject({
      report: { status: 'succeeded', reason: 'every row is as it was before the run' },
    });
    expect((await shop.rowsOf('shop.item'))[0]).toBe('(1,"item 1",1.50,"2026-01-01 00:00:00+00",green)');
    expect(await shop.rowsOf('shop.note')).toEqual([1, 2, 3, 4].map((n) => `(${n},"note ${n}",blue)`));
  });

  test('is compared in the types that its columns have now', async () => {
    const { id } = await ran();
    await owner.query(`alter table shop.item alter column price type int`);
    await owner.query(`update shop.item set price = 1 where id = 2`);
    expect(await shop.preview(id)).toMatchObject({ restorable: 12, conflicts: 1 });
    await shop.restore(id);
    const { rows } = await owner.query('select price from shop.item order by id limit 3');
    expect(rows).toEqual([{ price: 2 }, { price: 1 }, { price: 4 }]);
  });

  test('refuses the resource alone whose column was dropped, in the dry run and in the restore', async () => {
    const { id } = await ran();
    await owner.query(`alter table shop.item drop column price`);
    expect(await shop.preview(id)).toMatchObject({ restorable: 3, conflicts: 10 });
    const restored = await shop.restore(id);
    expect(restored).toMatchObject({
      report: {
        status: 'succeeded',
        reason: '10 changes not restored: resource item (shop.item): there is no column price',
      },
      left: { restorable: 0, conflicts: 10 },
    });
    expect(await shop.rowsOf('shop.note')).toHaveLength(4);
    expect(await shop.restore(id)).toMatchObject({ report: { status: 'failed', code: 'RESTORE_INEXACT' } });
  });

  test('does not count what it has left out as restored', async () => {
    const { id } = await ran();
    await owner.query(`alter table shop.note drop column text`);
    expect(await shop.preview(id)).toMatchObject({ restorable: 10, conflicts: 3 });
    const left = { applied: 13, alreadyRestored: 10, restorable: 0, conflicts: 3 };
    expect(await shop.restore(id)).toMatchObject({ report: { status: 'succeeded' }, left });
    expect(await shop.preview(id)).toMatchObject(left);
  });

  test('refuses values that the types of now cannot read', async () => {
    const { id } = await ran();
    await owner.query(`alter table shop.item alter column name type int using id`);
    expect(await shop.preview(id)).toMatchObject({ restorable: 3, conflicts: 10 });
    expect((await shop.restore(id))?.report?.reason).toContain(
      'the types of name (pg_catalog.text, now pg_catalog.int4) have changed',
    );
  });

  test('is restored as before where the run kept no types, as earlier programs did', async () => {
    const { id, before } = await ran();
    await owner.query(
      `update portcullis_region.run set resources = resources #- '{item,types}' #- '{note,types}' where id = $1`,
      [id],
    );
    await shop.restore(id);
    expect(await shop.rowsOf('shop.item')).toEqual(before);
  });
});

describe('a job is refused at load, by name,', () => {
  const plain = 'create table item (id int primary key, name text, price int)';
  const changing: Resource = { table: 'shop.item', key: 'id', changes: ['name'] };
  const deleting: Resource = { table: 'shop.item', key: 'id', changes: [], deletes: true };
  test.each<[string, string, Resource, string]>([
    [
      'a view',
      `create table base (id int primary key, name text); create view item as select * from base`,
      changing,
      'shop.item is a view; name the table',
    ],
    ['no key', 'create table item (id int, name text)', changing, 'key id has no unique index'],
    [
      'a partial key',
      'create table item (id int, name text); create unique index few on item (id) where id > 0',
      changing,
      'key id has no unique index for all rows (few is for some)',
    ],
    [
      'a deferrable key',
      'create table item (id int constraint one unique deferrable, name text)',
      changing,
      'key id is unique by one alone, which is deferrable',
    ],
    [
      'an unlogged table',
      'create unlogged table item (id int primary key, name text)',
      changing,
      'shop.item is unlogged: a crash empties it',
    ],
    [
      'an unlogged partition',
      'create table item (id int primary key, name text) partition by range (id); create unlogged table item_1 partition of item default',
      changing,
      'shop.item is unlogged',
    ],
    ['heirs', `${plain}; create table heir () inherits (item)`, changing, 'heir inherits from shop.item'],
    [
      'a rule',
      `${plain}; create rule quiet as on update to item do instead nothing`,
      changing,
      'rule quiet rewrites what is written',
    ],
    [
      'row-level security',
      `${plain}; alter table item enable row level security`,
      changing,
      'row-level security of shop.item hides rows from',
    ],
    [
      'rows that go with its own',
      `${plain}; create table part (item int constraint whole references item on delete cascade)`,
      deleting,
      'deleting its rows would delete rows of shop.part (constraint whole)',
    ],
    [
      'rows that are set to null with its own',
      `${plain}; create table part (item int constraint whole references item on delete set null)`,
      deleting,
      'deleting its rows would change rows of shop.part (constraint whole)',
    ],
    [
      'rows that change with a column',
      `create table item (id int primary key, name text unique); create table part (item text constraint whole references item (name) on update cascade)`,
      changing,
      'changing name would change rows of shop.part (constraint whole, on update cascade)',
    ],
    [
      'a trigger that sets its key when a row is restored',
      `${plain}; create or replace function shop.alters() returns trigger language plpgsql as 'begin new.id := 1; return new; end'; create trigger tells before insert on item for each row execute function shop.alters()`,
      deleting,
      'trigger tells sets its key',
    ],
  ])('where its table has %s', async (_, sql, resource, said) => {
    await make(sql);
    await expect(shop.load(shop.job({ item: resource }))).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining(said),
    });
  });

  test('also where the login that asks may not read which roles there are', async () => {
    await make(plain);
    const { region } = shop.platform;
    const installed = {
      definition: shop.job({ item: changing }),
      folder: new URL('.', import.meta.url),
      build: 'test',
    };
    await expect(loadJob(region, installed)).resolves.toMatchObject({ version: '1.0.0_test' });
  });

  test('with every GRANT that is missing, and by nothing else once they were run', async () => {
    await owner.query(`create table shop.item (id int primary key, name text);
      create table shop.gone (id int primary key, note text)`);
    const definition = shop.job({ item: changing, gone: { ...deleting, table: 'shop.gone' } });
    const error = await shop.load(definition).then(
      () => undefined,
      (caught: unknown) => caught as Error,
    );
    const grants = /run: (.*)$/.exec(error?.message ?? '')?.[1] ?? '';
    expect(grants.split('; ').map((each) => each.replace(/to .*_/, 'to '))).toEqual([
      'grant delete on "shop"."gone" to worker',
      'grant insert on "shop"."gone" to worker',
      'grant select on "shop"."gone" to planner',
      'grant select on "shop"."gone" to worker',
      'grant select on "shop"."item" to planner',
      'grant select on "shop"."item" to worker',
      'grant update on "shop"."item" to worker',
    ]);
    await owner.query(grants);
    await expect(shop.load(definition)).resolves.toMatchObject({ version: '1.0.0_test' });
  });
});
