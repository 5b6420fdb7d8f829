import { afterAll, describe, expect, test } from '@jest/globals';
import { defineJob, type Change, type Image, type JobDefinition } from '../../src/jobs/contract.js';
import { executeRun, type RunReport } from '../../src/jobs/run-loop.js';
import { elect } from '../../src/scheduler/election.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';

const database = await testDatabase();
const platform = testPlatform(database);
afterAll(() => platform.planner.close());

/** One column for each kind of value that is easily lost on the way through JavaScript or JSON. */
const COLUMNS: Readonly<Record<string, readonly [type: string, one: string, other: string]>> = {
  words: ['text', `E'it''s "quoted"\\n\\ttabbed \\\\ back\\\\slashed \\\\N é 漢 🦉'`, `''`],
  short: ['varchar(12)', `'abc'`, `'twelve chars'`],
  padded: ['char(5)', `'ab'`, `'xyz'`],
  yes: ['boolean', 'true', 'null'],
  small: ['smallint', '-32768', '7'],
  whole: ['integer', '2147483647', 'null'],
  big: ['bigint', '9223372036854775807', '-9007199254740993'],
  exact: ['numeric', '123456789012345678901234567890.000000000100', `'NaN'`],
  money: ['numeric(12,2)', '10.10', '0.00'],
  real_: ['double precision', '0.1::float8 + 0.2::float8', `'-Infinity'`],
  moment: ['timestamptz', `'2021-02-10 00:00:00.123456+00'`, `'infinity'`],
  local_: ['timestamp', `'0044-03-15 12:00:00 BC'`, `'2026-01-01 00:00:00.000001'`],
  day: ['date', `'2024-02-29'`, 'null'],
  span: ['interval', `'1 mon -3 days 04:05:06.000007'`, `'0'`],
  json_: ['json', `'{"b": 1, "a": [1.50, null, "x"]}'`, `'"text"'`],
  jsonb_: ['jsonb', `'{"a": {"n": 1e400}}'`, `'null'`],
  list: ['text[]', `array['a,b', 'c"d', null, '']`, `'{}'`],
  bytes: ['bytea', `'\\xdeadbeef00'`, `''`],
  id_: ['uuid', `'00000000-0000-4000-8000-000000000001'`, 'null'],
  mood: ['test_mood', `'so so'`, `'great'`],
  range_: ['int4range', `'[1,5)'`, `'empty'`],
  spot: ['point', `'(1.5,-2)'`, `'(0,0)'`],
  bits: ['bit(4)', `B'1010'`, `B'0000'`],
};
const names = Object.keys(COLUMNS);
const values = (which: 1 | 2): string => names.map((name) => COLUMNS[name]?.[which]).join(', ');

await database.owner.query(`
  create type test_mood as enum ('so so', 'great');
  create table directory.odd (id bigint primary key, home_region text not null,
    ${names.map((name) => `${name} ${COLUMNS[name]?.[0] ?? ''}`).join(', ')});
  insert into directory.odd values (9007199254740993, 'here', ${values(1)}), (2, 'here', ${values(2)});
  grant select on directory.odd to public;
  grant insert, update, delete on directory.odd to public`);

async function digest(): Promise<string[]> {
  const { rows } = await database.owner.query<{ row: string }>(
    'select odd::text as row from directory.odd order by id',
  );
  return rows.map(({ row }) => row);
}

/** A job that proposes what `propose` makes of all the rows that there are. */
function oddJob(propose: (rows: ReadonlyMap<string, Image>) => Iterable<Change>): JobDefinition {
  return defineJob({
    name: 'odd',
    version: '1.0.0',
    unit: { table: 'directory.odd', key: 'id', region: 'home_region' },
    resources: {
      odd: { table: 'directory.odd', key: 'id', changes: ['home_region', ...names], region: 'home_region' },
    },
    kinds: { change: 'odd' },
    async *plan({ db }) {
      const rows = new Map<string, Image>();
      for await (const { id, ...image } of db.rows('select * from directory.odd order by id'))
        rows.set(String(id), image);
      yield* propose(rows);
    },
  });
}

let slot = 0;
async function run(definition: JobDefinition): Promise<RunReport | undefined> {
  const job = await loadTestJob(platform, definition);
  platform.flags.open('odd', 'here', { version: job.version, permille: 1000 });
  slot += 1;
  const election = await elect(platform.region, {
    job: 'odd',
    version: job.version,
    region: 'here',
    slot: new Date(slot),
    trigger: 'manual',
    worker: 'test',
    leaseMs: 20_000,
  });
  if (!election.elected) throw new Error(election.why);
  return executeRun(platform, job, testPolicy('odd', ['here']), election.run, 'planning', {
    signal: new AbortController().signal,
  });
}

const [ONE, TWO] = ['9007199254740993', '2'] as const;
const change = (key: string, before: Image | null, after: Image | null): Change => ({
  resource: 'odd',
  key,
  before,
  after,
  kind: 'change',
  unit: key,
  evidence: {},
});

function image(rows: ReadonlyMap<string, Image>, key: string): Image {
  const found = rows.get(key);
  if (!found) throw new Error(`there is no row ${key}`);
  return found;
}

describe('values survive planning, comparing and writing exactly', () => {
  test('two rows swap all their values, and swap them back to the very same bytes', async () => {
    const before = await digest();
    const swap = oddJob((rows) => [
      change(ONE, image(rows, ONE), image(rows, TWO)),
      change(TWO, image(rows, TWO), image(rows, ONE)),
    ]);
    expect(await run(swap)).toMatchObject({ status: 'succeeded', applied: { change: 2 }, conflicts: 0 });
    const swapped = await digest();
    expect(swapped).not.toEqual(before);
    expect(await run(swap)).toMatchObject({ status: 'succeeded', applied: { change: 2 }, conflicts: 0 });
    expect(await digest()).toEqual(before);
  });

  test('a row is deleted by one run and put back by the next, as it was', async () => {
    const before = await digest();
    const kept: Image[] = [];
    const remove = oddJob((rows) => {
      kept.push(image(rows, ONE));
      return [change(ONE, image(rows, ONE), null)];
    });
    expect(await run(remove)).toMatchObject({ status: 'succeeded', applied: { change: 1 } });
    expect(await digest()).toHaveLength(1);
    // The unit of a row that is gone is not among the region's: it comes back on behalf of another.
    const restore = oddJob(() => [{ ...change(ONE, null, kept[0] ?? null), unit: TWO }]);
    expect(await run(restore)).toMatchObject({ status: 'succeeded', applied: { change: 1 } });
    expect(await digest()).toEqual(before);
  });

  test.each(names)('a row whose %s has changed since is a conflict', async (name) => {
    const [type, one, other] = COLUMNS[name] ?? ['text', 'null', 'null'];
    const before = await digest();
    const late = oddJob((rows) => [
      change(ONE, image(rows, ONE), { ...image(rows, ONE), home_region: 'elsewhere' }),
    ]);
    const edited: JobDefinition = {
      ...late,
      async *plan(context) {
        yield* late.plan(context);
        await database.owner.query(`update directory.odd set ${name} = (${other})::${type} where id = $1`, [
          ONE,
        ]);
      },
    };
    expect(await run(edited)).toMatchObject({ status: 'succeeded', applied: { change: 0 }, conflicts: 1 });
    await database.owner.query(`update directory.odd set ${name} = (${one})::${type} where id = $1`, [ONE]);
    expect(await digest()).toEqual(before);
  });

  test('an insert of a row that is there by now is a conflict, and the row stays', async () => {
    const before = await digest();
    const insert = oddJob((rows) => [{ ...change(TWO, null, image(rows, ONE)) }]);
    expect(await run(insert)).toMatchObject({ status: 'succeeded', applied: { change: 0 }, conflicts: 1 });
    expect(await digest()).toEqual(before);
  });

  test('a text too long for its column is refused by the column, not cut', async () => {
    const before = await digest();
    const long = oddJob((rows) => [
      change(ONE, image(rows, ONE), { ...image(rows, ONE), short: 'thirteen chars' }),
    ]);
    const report = await run(long);
    expect(report).toMatchObject({ status: 'succeeded', applied: { change: 0 }, conflicts: 1 });
    const { rows } = await database.owner.query<{ refusal: string }>(
      'select refusal from portcullis_region.conflict where run = $1',
      [report?.run.id],
    );
    expect(rows[0]?.refusal).toMatch(/too long/);
    expect(await digest()).toEqual(before);
  });
});
