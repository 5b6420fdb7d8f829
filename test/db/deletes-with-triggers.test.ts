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
