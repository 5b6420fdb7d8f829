import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Resource } from '../../src/sdk/contract.js';
import { extentOf } from '../../src/journal/extent.js';
import { impactOf } from '../../src/journal/impact.js';
import { findRun } from '../../src/runs/browse-runs.js';
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
      'have a trigger',
      `create or replace function shop.tell() returns trigger language plpgsql as 'begin return old; end';
      create trigger tells before delete on shop.event for each row execute function shop.tell()`,
      'drop trigger tells on shop.event',
      'trigger tells of shop.event runs when its rows go',
    ],
    [
      'have no key',
      'alter table shop.mark drop constraint mark_pkey',
      'alter table shop.mark add primary key (id)',
      'shop.mark has no unique key without nulls',
    ],
    [
      'come two ways',
      'alter table shop.detail add column session int references shop.session on delete cascade',
      'alter table shop.detail drop column session',
      'rows of shop.detail go in more than one way',
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
