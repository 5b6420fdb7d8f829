import { afterAll, describe, expect, test } from '@jest/globals';
import type { Change, Image, JobDefinition } from '../../src/sdk/contract.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import { elect } from '../../src/runs/election.js';
import { testDatabase } from '../support/database.js';
import { makeOddTable, ODD_COLUMNS, ODD_NAMES, oddRow } from '../support/odd-values.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';

const database = await testDatabase();
const platform = testPlatform(database);
afterAll(() => platform.planner.close());

const names = ODD_NAMES;
await makeOddTable(database.owner);
await database.owner.query(
  `insert into directory.odd (id, home_region, ${names.join(', ')})
   values (9007199254740993, 'here', ${oddRow(() => 1)}), (2, 'here', ${oddRow(() => 2)})`,
);

async function digest(): Promise<string[]> {
  const { rows } = await database.owner.query<{ row: string }>(
    'select odd::text as row from directory.odd order by id',
  );
  return rows.map(({ row }) => row);
}

/** A job that proposes what `propose` makes of all the rows that there are. */
function oddJob(propose: (rows: ReadonlyMap<string, Image>) => Iterable<Change>): JobDefinition {
  return {
    name: 'odd',
    version: '1.0.0',
    unit: { table: 'directory.odd', key: 'id', region: 'home_region' },
    resources: {
      odd: { table: 'directory.odd', key: 'id', changes: ['home_region', ...names], region: 'home_region' },
    },
    kinds: { change: 'odd' },
    async *plan({ rows: read }) {
      const rows = new Map<string, Image>();
      for await (const { id, ...image } of read(
        `select id, home_region, ${names.join(', ')} from directory.odd order by id`,
      ))
        rows.set(String(id), image);
      yield* propose(rows);
    },
  };
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
    const [type, one, other] = ODD_COLUMNS[name] ?? ['text', 'null', 'null'];
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
