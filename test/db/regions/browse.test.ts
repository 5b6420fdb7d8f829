import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type pg from 'pg';
import { queryRegions } from '../../../src/regions/query-regions.js';
import { findRunOf, listGatesOf, listRunsOf } from '../../../src/regions/browse.js';
import type { RegionDatabase, RegionDatabases } from '../../../src/regions/region-database.js';
import type { Page, PageRequest } from '../../../src/postgres/page.js';
import { openPool } from '../../../src/postgres/pool.js';
import { seedRun } from '../../http/serving.js';
import { testDatabase } from '../../support/database.js';

const west = await testDatabase();
const east = await testDatabase();
const nowhere = openPool('postgresql://nobody@127.0.0.1:1/nothing', { name: 'nowhere' });
afterAll(() => nowhere.end());

function nothing(): never {
  throw new Error('nothing is planned here');
}

function databaseAt(name: string, pool: pg.Pool): RegionDatabase {
  return {
    name,
    owner: pool,
    kills: pool,
    worker: pool,
    planner: { rows: nothing, in: nothing, under: nothing },
    open: true,
    job: () => Promise.reject(new Error('this test loads no job')),
    prepare: () => Promise.resolve(),
  };
}

const WEST = databaseAt('west', west.owner);
const EAST = databaseAt('east', east.owner);
const AWAY = databaseAt('away', nowhere);

function databasesOf(...all: RegionDatabase[]): RegionDatabases {
  return { of: (region) => (region.startsWith('us') ? EAST : WEST), all: () => all };
}

const both = databasesOf(WEST, EAST);

/** Every item of a list, walked page by page. */
async function walked<Item>(
  limit: number,
  pageOf: (page: PageRequest) => Promise<Page<Item>>,
): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await pageOf({ limit, cursor });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    items.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return items;
}

/** Newest first; of one moment, by id. Two databases, microseconds apart and at the very same moment. */
const expected: string[] = [];

beforeAll(async () => {
  for (let at = 40; at > 0; at -= 1) {
    const pool = at % 3 === 0 ? west.owner : east.owner;
    const createdAt = `2026-03-01 09:30:00.${String(at * 7).padStart(6, '0')}+00`;
    expected.push(await seedRun(pool, { createdAt, region: at % 3 === 0 ? 'eu-west-1' : 'us-east-1' }));
  }
  const twins = [randomUUID(), randomUUID(), randomUUID()].sort();
  for (const [at, id] of twins.entries()) {
    const pool = at === 1 ? west.owner : east.owner;
    await seedRun(pool, { id, createdAt: '2026-03-01 09:30:00+00' });
    expected.push(id);
  }
  for (const [pool, regions] of [
    [west.owner, ['eu-west-1', 'eu-north-1', 'us-east-1']],
    [east.owner, ['us-east-1', 'us-west-2', 'us-2']],
  ] as const) {
    for (const region of regions) {
      await pool.query('insert into portcullis_region.gate (job, region, reason) values ($1, $2, $3)', [
        'domain-claim',
        region,
        pool === west.owner ? 'west' : 'east',
      ]);
    }
  }
});

describe('runs of two databases', () => {
  test('are one list, newest first, whatever the size of a page', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 50 }), async (limit) => {
        const runs = await walked(limit, (page) => listRunsOf(both, {}, page));
        expect(runs.map(({ runId }) => runId)).toEqual(expected);
      }),
      { numRuns: 12 },
    );
  });

  test('are filtered in each', async () => {
    const runs = await walked(5, (page) => listRunsOf(both, { region: 'eu-west-1' }, page));
    expect(new Set(runs.map(({ region }) => region))).toEqual(new Set(['eu-west-1']));
  });

  test('are found by id in either, and neither hides that several begin alike', async () => {
    // The newest is the fortieth, the one after it the thirty-ninth: 39 is a multiple of three.
    const [inEast = '', inWest = ''] = expected;
    expect((await findRunOf(both, inEast)).regionDatabase).toBe(EAST);
    expect((await findRunOf(both, inEast.slice(0, 13))).run.runId).toBe(inEast);
    expect((await findRunOf(both, inWest)).regionDatabase).toBe(WEST);
    const alike = randomUUID().slice(0, 9);
    await seedRun(west.owner, {
      id: `${alike}0000-4000-8000-000000000001`,
      createdAt: '2020-01-01 00:00:00+00',
    });
    await seedRun(east.owner, {
      id: `${alike}1111-4000-8000-000000000001`,
      createdAt: '2020-01-01 00:00:00+00',
    });
    await expect(findRunOf(both, alike)).rejects.toMatchObject({ code: 'RUN_AMBIGUOUS' });
    await expect(findRunOf(both, '00000000')).rejects.toMatchObject({ code: 'RUN_UNKNOWN' });
  });
});

describe('gates of two databases', () => {
  test('are one list by job and region, without what a region has left behind elsewhere', async () => {
    for (const limit of [1, 2, 100]) {
      const gates = await walked(limit, (page) => listGatesOf(both, {}, page));
      expect(gates.map(({ region, reason }) => [region, reason])).toEqual([
        ['eu-north-1', 'west'],
        ['eu-west-1', 'west'],
        ['us-2', 'east'],
        ['us-east-1', 'east'],
        ['us-west-2', 'east'],
      ]);
    }
  });
});

describe('a database that is away', () => {
  const withOneAway = databasesOf(WEST, AWAY);

  test('is named in a list, and keeps nothing else out of it', async () => {
    const page = await listRunsOf(withOneAway, {}, { limit: 5 });
    expect(page.items).toHaveLength(5);
    expect(page.unreachable).toEqual([
      { database: 'away', reason: expect.stringContaining('ECONNREFUSED') as unknown },
    ]);
  });

  test('may have the run that is not found elsewhere', async () => {
    await expect(findRunOf(withOneAway, '00000000')).rejects.toMatchObject({
      code: 'DATABASE_UNREACHABLE',
      message: expect.stringContaining('away: ') as unknown,
    });
  });

  test('is an error where there is no other', async () => {
    await expect(listRunsOf(databasesOf(AWAY), {}, { limit: 5 })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  test('is not waited for when it hangs', async () => {
    const { answers, unreachable } = await queryRegions(
      both,
      ({ name }) => (name === 'east' ? new Promise<string>(() => undefined) : Promise.resolve('here')),
      50,
    );
    expect(answers.map(({ answer }) => answer)).toEqual(['here']);
    expect(unreachable).toEqual([{ database: 'east', reason: 'east did not answer within 0.05 s' }]);
  });
});
