import { afterAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Change, Image, JobDefinition } from '../../src/sdk/contract.js';
import { previewRestores, restoreRuns } from '../../src/worker/restore-runs.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { elect } from '../../src/runs/election.js';
import { testDatabase } from '../support/database.js';
import { makeOddTable, ODD_COLUMNS, ODD_NAMES, oddRow } from '../support/odd-values.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';

const database = await testDatabase();
const platform = testPlatform(database);
const { owner } = database;
await makeOddTable(owner);
afterAll(() => platform.planner.close());

/** The rows that there may be; the first stays, so that the region has a unit. */
const KEYS = ['9007199254740993', '2', '3', '4', '5', '6', '7', '8'] as const;
const UNIT = KEYS[0];

type Pick = readonly (0 | 1 | 2)[];
/** What a run, or a user, does to each row: nothing, delete it, or give it (made where it is not) these values. */
type Deed = null | 'delete' | Pick;

const pick = fc.array(fc.constantFrom(0 as const, 1 as const, 2 as const), {
  minLength: ODD_NAMES.length,
  maxLength: ODD_NAMES.length,
});
const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 2, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.constant('delete' as const) },
  { weight: 4, arbitrary: pick },
);
const deeds = fc.array(deed, { minLength: KEYS.length, maxLength: KEYS.length });
const table = fc.array(fc.option(pick, { freq: 3 }), { minLength: KEYS.length, maxLength: KEYS.length });

const valuesOf = (each: Pick): string => oddRow((name) => each[ODD_NAMES.indexOf(name)] ?? 0);

async function rowsNow(): Promise<ReadonlyMap<string, string>> {
  const { rows } = await owner.query<{ id: string; row: string }>(
    'select id::text, odd::text as row from directory.odd',
  );
  return new Map(rows.map(({ id, row }) => [id, row]));
}

async function fill(rows: readonly (Pick | null)[]): Promise<void> {
  await owner.query('truncate directory.odd');
  for (const [at, key] of KEYS.entries()) {
    const row = rows[at] ?? (key === UNIT ? ODD_NAMES.map(() => 0 as const) : null);
    if (row) await put(key, row);
  }
}

async function put(key: string, row: Pick): Promise<void> {
  await owner.query(`
    insert into directory.odd (id, home_region, ${ODD_NAMES.join(', ')}) values (${key}, 'here', ${valuesOf(row)})
    on conflict (id) do update set ${ODD_NAMES.map((name) => `${name} = excluded.${name}`).join(', ')}`);
}

/** The values as a job would read them. */
async function imageOf(row: Pick): Promise<Image> {
  const columns = ODD_NAMES.map((name, at) => {
    const which = row[at] ?? 0;
    const type = ODD_COLUMNS[name]?.[0] ?? 'text';
    return `(${which === 0 ? 'null' : (ODD_COLUMNS[name]?.[which] ?? 'null')})::${type} as ${name}`;
  });
  for await (const image of platform.planner.rows(`select 'here' as home_region, ${columns.join(', ')}`))
    return image;
  throw new Error('no row');
}

function jobOf(what: readonly Deed[]): JobDefinition {
  return {
    name: 'odd',
    version: '1.0.0',
    unit: { table: 'directory.odd', key: 'id', region: 'home_region' },
    resources: {
      odd: {
        table: 'directory.odd',
        key: 'id',
        changes: ['home_region', ...ODD_NAMES],
        compares: ['shouted'],
        region: 'home_region',
      },
    },
    kinds: { change: 'odd' },
    async *plan({ rows: read }): AsyncGenerator<Change> {
      const rows = new Map<string, Image>();
      for await (const { id, ...image } of read('select * from directory.odd')) rows.set(String(id), image);
      for (const [at, key] of KEYS.entries()) {
        const does = what[at] ?? null;
        const before = rows.get(key) ?? null;
        if (does === null || (does === 'delete' && (before === null || key === UNIT))) continue;
        const after = does === 'delete' ? null : await imageOf(does);
        if (before && after && Object.keys(after).every((column) => before[column] === after[column]))
          continue;
        yield { resource: 'odd', key, before, after, kind: 'change', unit: UNIT, evidence: {} };
      }
    },
  };
}

let slot = 0;
async function run(what: readonly Deed[]): Promise<string> {
  const job = await loadTestJob(platform, jobOf(what));
  platform.flags.open('odd', 'here', { version: job.version, permille: 1000 });
  slot += 1;
  const election = await elect(platform.region, {
    ...{ job: 'odd', version: job.version, region: 'here', slot: new Date(slot) },
    ...{ trigger: 'manual', worker: 'test', leaseMs: 20_000 },
  });
  if (!election.elected) throw new Error(election.why);
  const policy = testPolicy('odd', ['here'], { apply: { lanes: 2, batch: 3, firstBatches: [1] } });
  const { signal } = new AbortController();
  const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
  expect(report).toMatchObject({ status: 'succeeded', conflicts: 0 });
  return election.run.id;
}

const restore = (...ids: string[]) =>
  restoreRuns(platform, ids, {
    signal: new AbortController().signal,
    paceOf: () => ({ leaseMs: 20_000, batch: 3 }),
  });

test('whatever a run did, its restore brings back every row to the last byte, and taking that back undoes it', async () => {
  await fc.assert(
    fc.asyncProperty(table, deeds, async (rows, what) => {
      await fill(rows);
      const before = await rowsNow();
      const bad = await run(what);
      const after = await rowsNow();
      const [restored] = await restore(bad);
      expect(restored?.left).toMatchObject({ restorable: 0, asBefore: 0, conflicts: 0 });
      expect(await rowsNow()).toEqual(before);
      await restore(restored?.report?.run.id ?? '');
      expect(await rowsNow()).toEqual(after);
      await restore(bad);
      expect(await rowsNow()).toEqual(before);
    }),
    { numRuns: 25 },
  );
});

test('no user’s edit is ever lost, whoever edits what between two runs and after them', async () => {
  await fc.assert(
    fc.asyncProperty(table, deeds, deeds, deeds, async (rows, first, edits, second) => {
      await fill(rows);
      const before = await rowsNow();
      const older = await run(first);
      const between = await rowsNow();
      const runs = [older, await run(second)];
      const left = await rowsNow();
      for (const [at, key] of KEYS.entries()) {
        const does = edits[at] ?? null;
        if (does === 'delete') await owner.query('delete from directory.odd where id = $1', [key]);
        else if (does !== null) await put(key, does);
      }
      const edited = await rowsNow();
      const [newest] = await previewRestores(platform.region, runs);
      const reports = await restore(...runs);
      // What was said beforehand is what was done.
      expect(Object.values(reports[0]?.report?.applied ?? {}).reduce((sum, n) => sum + n, 0)).toBe(
        newest?.preview.restorable,
      );
      const now = await rowsNow();
      for (const key of KEYS) {
        const is = edited.get(key);
        if (is === left.get(key)) expect(now.get(key)).toBe(before.get(key));
        // Unless the user has put it exactly as the older run had left it, which then is taken back.
        else if (is !== between.get(key)) expect(now.get(key)).toBe(is);
      }
    }),
    { numRuns: 25 },
  );
});
