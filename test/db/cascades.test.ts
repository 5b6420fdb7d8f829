import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Resource } from '../../src/sdk/contract.js';
import { extentOf } from '../../src/journal/extent.js';
import { impactOf } from '../../src/journal/impact.js';
import { restoreConflicts } from '../../src/journal/restore-preview.js';
import { findRun } from '../../src/runs/browse-runs.js';
import { readRestored } from '../../src/worker/restore-plan-phase.js';
import { testDatabase } from '../support/database.js';
import { noRules } from '../support/platform.js';
import { change, testShop } from '../support/shop.js';
import { until } from '../support/until.js';

const database = await testDatabase();
const { owner } = database;
const shop = await testShop(database);
afterAll(() => shop.platform.planner.close());

await owner.query(`
  create table shop.session (id int primary key, note text);
  create table shop.event (id bigint generated always as identity primary key, session int constraint of_session references shop.session on delete cascade,
    at timestamptz not null default now(), twice int generated always as (session * 2) stored);
  create table shop.detail (event bigint constraint of_event references shop.event on delete cascade, no int, what jsonb, primary key (event, no));
  create table shop.mark (id int primary key, session int constraint marks references shop.session on delete set null, colour text);
  create table shop.visit (id int primary key, session int default 0 constraint visited references shop.session on delete set default)`);
await shop.grant();

beforeEach(() =>
  owner.query(`
    truncate shop.session, shop.event, shop.detail, shop.mark, shop.visit;
    insert into shop.session select n, 'session ' || n from generate_series(0, 9) n;
    insert into shop.event (session) select n % 10 from generate_series(10, 39) n;
    insert into shop.detail select id, n, '{"a": 1.50}' from shop.event, generate_series(1, 2) n;
    insert into shop.mark select n, n % 10, 'red' from generate_series(1, 20) n;
    insert into shop.visit select n, n from generate_series(1, 9) n`),
);

const TABLES = ['session', 'event', 'detail', 'mark', 'visit'].map((name) => `shop.${name}`);
const CASCADES = ['shop.event', 'shop.detail', 'shop.mark', 'shop.visit'];
const session: Resource = {
  table: 'shop.session',
  key: 'id',
  changes: [],
  deletes: true,
  cascades: CASCADES,
};

/** Deletes the sessions 1 to 6. */
const dropping = (resource: Resource = session) =>
  shop.job({ session: resource }, async function* ({ rows }) {
    for await (const { id, note } of rows('select id, note from shop.session where id between 1 and 6'))
      yield change('session', String(id), { note: note ?? null }, null);
  });

async function everything(): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {};
  for (const table of TABLES) all[table] = await shop.rowsOf(table);
  return all;
}

describe('rows that go with those that a job deletes', () => {
  test('are kept whole, and restored with them, also where the restore is restored', async () => {
    const before = await everything();
    const report = await shop.run(dropping());
    expect(report).toMatchObject({ status: 'succeeded', applied: { session: 6 }, conflicts: 0 });
    const gone = await everything();
    expect(Object.values(gone).map(({ length }) => length)).toEqual([4, 12, 24, 20, 9]);
    expect(await shop.preview(report.run.id)).toMatchObject({ restorable: 6, conflicts: 0 });
    const restored = await shop.restore(report.run.id);
    expect(restored?.report).toMatchObject({
      status: 'succeeded',
      reason: 'every row is as it was before the run',
    });
    expect(await everything()).toEqual(before);
    const again = await shop.restore(restored?.report?.run.id ?? '');
    expect(again?.left).toMatchObject({ restorable: 0, conflicts: 0 });
    expect(await everything()).toEqual(gone);
    await shop.restore(again?.report?.run.id ?? '');
    expect(await everything()).toEqual(before);
  });

  test('keep back their own row alone where one of them cannot be put back, as the dry run says', async () => {
    const taken =
      (await shop.rowsOf('shop.event'))
        .find((row) => row.includes(',3,'))
        ?.slice(1)
        .split(',')[0] ?? '';
    const report = await shop.run(dropping());
    await owner.query(`insert into shop.event (id, session) overriding system value values (${taken}, 7)`);
    await owner.query('update shop.mark set session = 8 where id = 5');
    expect(await shop.preview(report.run.id)).toMatchObject({ restorable: 4, conflicts: 2 });
    const restored = await shop.restore(report.run.id);
    expect(restored).toMatchObject({
      report: { status: 'succeeded' },
      left: { restorable: 0, conflicts: 2 },
    });
    const { rows } = await owner.query<{ key: string; refusal: string }>(
      `select c.key, x.refusal from portcullis_region.conflict x join portcullis_region.change c using (run, lane, seq)
       where x.run = $1 order by c.key`,
      [restored?.report?.run.id],
    );
    expect(rows).toEqual([
      {
        key: '3',
        refusal: `1 of 3 rows of shop.event that went with it cannot be put back, such as ["${taken}"]: rows with their keys are there`,
      },
      {
        key: '5',
        refusal:
          '1 of 2 rows of shop.mark that went with it cannot be put back, such as ["15"]: they were changed since',
      },
    ]);
  });

  test('that were added to a restored row keep a restore of that restore from deleting it', async () => {
    const report = await shop.run(dropping());
    const restored = await shop.restore(report.run.id);
    await owner.query('insert into shop.event (session) values (4)');
    const again = await shop.restore(restored?.report?.run.id ?? '');
    expect(again?.report).toMatchObject({ status: 'succeeded', applied: { session: 5 }, conflicts: 1 });
    expect((await shop.rowsOf('shop.session')).map((row) => row[1])).toEqual(['0', '4', '7', '8', '9']);
  });

  test('and are being added at that moment are kept too', async () => {
    const other = await owner.connect();
    try {
      await other.query('begin; insert into shop.event (session) values (2)');
      const running = shop.run(dropping());
      await until('the batch waits for the other', async () => {
        const { rowCount } = await owner.query(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return rowCount === 1;
      });
      await other.query('commit');
      const report = await running;
      expect(report).toMatchObject({ status: 'succeeded', applied: { session: 6 }, conflicts: 0 });
      const { rows } = await owner.query(
        `select count(*) as n from portcullis_region.cascaded where run = $1 and "table" = 'shop.event'`,
        [report.run.id],
      );
      expect(rows).toEqual([{ n: 19 }]);
      await shop.restore(report.run.id);
      expect(await shop.rowsOf('shop.event')).toHaveLength(31);
    } finally {
      other.release();
    }
  });

  test('are counted in the plan, in what was done, and in the impact', async () => {
    const { run, status } = await shop.run(dropping());
    expect(status).toBe('succeeded');
    const view = await findRun(owner, run.id);
    expect(view).toMatchObject({
      planned: { session: 6 },
      cascading: { session: 72 },
      cascaded: { session: 72 },
    });
    expect(await impactOf(owner, run.id)).toMatchObject({
      ...{ rows: 6, cascaded: 72 },
      byCascade: [
        { table: 'shop.detail', rows: 36 },
        { table: 'shop.event', rows: 18 },
        { table: 'shop.mark', rows: 12 },
        { table: 'shop.visit', rows: 6 },
      ],
    });
    expect(await extentOf(owner, [run.id])).toMatchObject({ rows: 6, cascaded: 72 });
  });

  test('count for the caps of a plan', async () => {
    const capped = (perRun: number) =>
      shop.run(dropping(), { guard: { ...noRules, caps: [{ kind: 'session', perRun }] } });
    // 6 sessions, with 18 events, 36 details, 12 marks and 6 visits.
    expect((await capped(77)).reason).toContain(
      '6 session and 72 rows that go with them planned, at most 77 in a run',
    );
    await owner.query(
      'delete from portcullis_region.quarantine; update portcullis_region.gate set state = $$held$$',
    );
  });
});

describe('a job is refused whose cascades', () => {
  test.each<[string, Partial<Resource>, string]>([
    [
      'leave a table out',
      { cascades: CASCADES.slice(0, 3) },
      "rows of shop.visit (constraint visited), which are not declared; add cascades: ['shop.visit']",
    ],
    [
      'leave out what goes with what goes',
      { cascades: CASCADES.filter((name) => name !== 'shop.detail') },
      'rows of shop.detail (constraint of_event), which are not declared',
    ],
    [
      'name a table that nothing ties to it',
      { cascades: [...CASCADES, 'shop.tenant'] },
      'cascades names shop.tenant, whose rows do not go with its own',
    ],
  ])('%s', async (_, changed, said) => {
    await expect(shop.load(shop.job({ session: { ...session, ...changed } }))).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining(said),
    });
  });

  test.each([
    [
      'have a trigger that gives rows another key',
      `create or replace function shop.tell() returns trigger language plpgsql as 'begin new.id := new.id + 1; return new; end';
      create trigger tells before insert on shop.event for each row execute function shop.tell()`,
      'drop trigger tells on shop.event',
      'shop.event: trigger tells sets its key, so the row could not be found again',
    ],
    [
      'have no key',
      'alter table shop.mark drop constraint mark_pkey',
      'alter table shop.mark add primary key (id)',
      'shop.mark has no unique key without nulls',
    ],
  ])('%s', async (_, make, undo, said) => {
    await owner.query(make);
    try {
      await expect(shop.load(shop.job({ session }))).rejects.toMatchObject({
        code: 'JOB_INVALID',
        message: expect.stringContaining(said),
      });
    } finally {
      await owner.query(undo);
    }
  });

  test('are declared by a resource of the job as well', async () => {
    const mark: Resource = { table: 'shop.mark', key: 'id', changes: ['colour'] };
    await expect(shop.load(shop.job({ session, mark }))).rejects.toMatchObject({
      message: expect.stringContaining('its cascades name shop.mark, which resource mark changes too'),
    });
  });
});

describe('rows that go in several ways are kept once, and restored exactly', () => {
  afterEach(() => owner.query('drop table if exists shop.leaf, shop.twig, shop.twig2, shop.node cascade'));
  const tables = ['shop.node', 'shop.twig', 'shop.twig2', 'shop.leaf'] as const;
  const there = async (): Promise<string[]> => {
    const found: string[] = [];
    for (const table of tables) {
      const { rows } = await owner.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
        table,
      ]);
      if (rows[0]?.there === true) found.push(...(await shop.rowsOf(table)).map((row) => `${table} ${row}`));
    }
    return found;
  };
  /** Deletes these nodes, the restore, the restore of that, and the restore of that again: exact each time. */
  const goesAndComesBack = async (
    cascades: readonly string[],
    ids: readonly number[],
    gone: number,
    rounds = 1,
  ) => {
    await shop.grant();
    const before = await there();
    const resource: Resource = { table: 'shop.node', key: 'id', changes: [], deletes: true, cascades };
    const definition = shop.job({ node: resource }, async function* ({ rows }) {
      for await (const { id = null, ...row } of rows('select * from shop.node order by id'))
        if (ids.includes(Number(id))) yield change('node', String(id), row, null, `t${(Number(id) % 3) + 1}`);
    });
    const report = await shop.run(definition, { apply: { lanes: 1, batch: 100, firstBatches: [] } });
    expect(report).toMatchObject({ status: 'succeeded', applied: { node: ids.length }, conflicts: 0 });
    const view = await findRun(owner, report.run.id);
    expect([view.cascading, view.cascaded]).toEqual([{ node: gone }, { node: gone }]);
    const after = await there();
    expect(await shop.preview(report.run.id)).toMatchObject({ restorable: ids.length, conflicts: 0 });
    const restored = await shop.restore(report.run.id, 100);
    expect(restored).toMatchObject({
      report: { status: 'succeeded' },
      left: { restorable: 0, conflicts: 0 },
    });
    expect(await there()).toEqual(before);
    // Where a row waited for another, it came in a second round, which is a run of its own.
    if (rounds > 1) return;
    const again = await shop.restore(restored?.report?.run.id ?? '', 100);
    expect(again?.report).toMatchObject({ status: 'succeeded', conflicts: 0 });
    expect(await there()).toEqual(after);
    await shop.restore(again?.report?.run.id ?? '', 100);
    expect(await there()).toEqual(before);
  };

  test('where a table references itself: whole trees, also where a change names a row of one', async () => {
    await owner.query(`
      create table shop.node (id int primary key, parent int constraint of_node references shop.node on delete cascade, note text);
      create table shop.leaf (id int primary key, node int constraint of_leaf references shop.node on delete cascade);
      insert into shop.node select n, nullif(n / 2, 0), 'node ' || n from generate_series(1, 63) n;
      insert into shop.leaf select n, (n + 1) / 2 from generate_series(1, 126) n`);
    // The trees of 4 and 5 have 15 nodes each; 19 is in that of 4.
    await goesAndComesBack(['shop.node', 'shop.leaf'], [4, 5], 28 + 60);
    await goesAndComesBack(['shop.node', 'shop.leaf'], [4, 5, 19], 27 + 60, 2);
  });

  test('where a table is referenced by two that go', async () => {
    await owner.query(`
      create table shop.node (id int primary key, note text);
      create table shop.twig (id int primary key, node int constraint of_twig references shop.node on delete cascade);
      create table shop.twig2 (id int primary key, node int constraint of_twig2 references shop.node on delete cascade);
      create table shop.leaf (id int primary key, twig int constraint a_leaf references shop.twig on delete cascade,
        twig2 int constraint b_leaf references shop.twig2 on delete cascade, node int constraint c_leaf references shop.node on delete set null);
      insert into shop.node select n, 'node ' || n from generate_series(1, 6) n;
      insert into shop.twig select n, (n + 1) / 2 from generate_series(1, 12) n;
      insert into shop.twig2 select n, (n + 1) / 2 from generate_series(1, 12) n;
      insert into shop.leaf select n, nullif(n % 13, 0), nullif(n % 7, 0), 1 + n % 6 from generate_series(1, 60) n`);
    const { rows } = await owner.query<{ n: number }>(`
      select count(*) as n from shop.leaf where twig in (3, 4, 5, 6) or twig2 in (3, 4, 5, 6) or node in (2, 3)`);
    await goesAndComesBack(['shop.twig', 'shop.twig2', 'shop.leaf'], [2, 3], 4 + 4 + (rows[0]?.n ?? 0));
  });

  test('and held back where a person keeps one of them from it, as the dry run says', async () => {
    await owner.query(`
      create table shop.node (id int primary key, note text);
      create table shop.twig (id int primary key, node int constraint of_twig references shop.node on delete cascade);
      create table shop.leaf (id int primary key, twig int constraint a_leaf references shop.twig on delete cascade,
        node int constraint c_leaf references shop.node on delete cascade);
      insert into shop.node select n, 'node ' || n from generate_series(1, 6) n;
      insert into shop.twig select n, n from generate_series(1, 6) n;
      insert into shop.leaf values (1, 3, 2), (2, 4, 4)`);
    await shop.grant();
    const resource: Resource = {
      ...{ table: 'shop.node', key: 'id', changes: [], deletes: true },
      cascades: ['shop.twig', 'shop.leaf'],
    };
    const report = await shop.run(
      shop.job({ node: resource }, async function* ({ rows }) {
        for await (const { id, note } of rows(
          'select id, note from shop.node where id in (2, 3, 4) order by id',
        ))
          yield change('node', String(id), { note: note ?? null }, null);
      }),
      { apply: { lanes: 1, batch: 100, firstBatches: [] } },
    );
    // Leaf 1 went with node 2, and with the twig of node 3, which somebody has put there again without it.
    await owner.query(`insert into shop.node values (3, 'theirs')`);
    const { region } = shop.platform;
    const said = { restorable: 1, conflicts: 2 };
    expect(await shop.preview(report.run.id)).toMatchObject(said);
    const conflicts = async (): Promise<(string | null)[][]> => {
      const found = [];
      for await (const { key, refusal } of restoreConflicts(
        region,
        report.run.id,
        await readRestored(region, report.run.id),
      ))
        found.push([key, refusal]);
      return found;
    };
    const why =
      'a row of shop.leaf references one of shop.twig that is not there and does not come back (constraint a_leaf)';
    expect(await conflicts()).toEqual([
      ['3', null],
      ['2', why],
    ]);
    expect(await shop.restore(report.run.id, 100)).toMatchObject({
      report: { status: 'succeeded', applied: { node: 1 } },
      left: { restorable: 0, conflicts: 2 },
    });
    expect(await conflicts()).toEqual([
      ['3', null],
      ['2', expect.stringContaining('violates foreign key constraint "a_leaf"')],
    ]);
    // Once the twig is there again, so is what was held back.
    await owner.query('insert into shop.twig values (3, 3)');
    expect(await shop.preview(report.run.id)).toMatchObject({ restorable: 1, conflicts: 1 });
    expect(await shop.restore(report.run.id, 100)).toMatchObject({ left: { restorable: 0, conflicts: 1 } });
    expect(await shop.rowsOf('shop.leaf')).toEqual(['(1,3,2)', '(2,4,4)']);
  });

  test('but a table whose rows go with those that go with them is refused by name', async () => {
    await owner.query(`
      create table shop.node (id int primary key, twig int);
      create table shop.twig (id int primary key, node int constraint of_twig references shop.node on delete cascade);
      alter table shop.node add constraint back foreign key (twig) references shop.twig on delete cascade`);
    const node: Resource = {
      ...{ table: 'shop.node', key: 'id', changes: [], deletes: true, cascades: ['shop.twig', 'shop.node'] },
    };
    await expect(shop.load(shop.job({ node }))).rejects.toMatchObject({
      message: expect.stringContaining(
        'rows of shop.node go with shop.twig, which go with them (constraint back); drop the action of one',
      ),
    });
  });
});
