import { readFile } from 'node:fs/promises';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { fillSample, goOnSample, sampleState, type SampledJob } from '../../../src/worker/job-sample.js';
import { defineJob, table } from '../../../src/sdk/index.js';
import { testJob } from '../../../src/testing/index.js';
import { emptyDatabase } from '../../support/database.js';

/** A job with made-up rows of its own. */
const calls: string[] = [];
const greeting = defineJob({
  name: 'greeting',
  version: '1.0.0',
  unit: { table: 'public.teams', key: 'id', region: 'region' },
  resources: { member: table('public.members', { key: 'id', changes: ['greeted'], compares: ['team'] }) },
  kinds: { greet: 'member' },
  sample: {
    units: 'made-up-',
    async fill({ sql, regions, seed, now }) {
      calls.push(seed);
      await sql`insert into teams (id, region) select 'made-up-' || region, region from unnest(${regions}::text[]) region`;
      await sql(
        'insert into members (team, name, joined) select id, $1 || n, $2 from teams, generate_series(1, 3) n',
        [seed, now],
      );
    },
    async goOn({ sql, region }) {
      await sql`insert into members (team, name, joined) values (${`made-up-${region}`}, 'new', now())`;
    },
  },
  async *plan({ rows, region, units }) {
    const found = rows<{ id: number; team: string; greeted: boolean }>`
      select m.id, m.team, m.greeted from members m join teams t on t.id = m.team
      where t.region = ${region} and not m.greeted order by m.id`;
    for await (const { id, ...before } of found) {
      if (!units.has(before.team)) continue;
      yield {
        ...({ kind: 'greet', resource: 'member', key: String(id), unit: before.team } as const),
        ...{ before, after: { greeted: true }, evidence: {} },
      };
    }
  },
});
const job = greeting as unknown as SampledJob;

const schema = new URL('sample-tables.sql', import.meta.url);
const { owner } = await emptyDatabase();
await owner.query(await readFile(schema, 'utf8'));
const context = { regions: ['eu', 'us'], seed: 'seed', now: new Date('2026-01-01T00:00:00Z') };
const members = async (): Promise<unknown> =>
  (await owner.query('select team, name from members order by team, name')).rows;

beforeEach(async () => {
  await owner.query('truncate teams, members restart identity');
});

describe('a sample', () => {
  test('fills empty tables once, and goes on', async () => {
    expect(await sampleState(owner, job)).toBe('empty');
    const both = await Promise.all([fillSample(owner, job, context), fillSample(owner, job, context)]);
    expect(both.sort()).toEqual([false, true]);
    expect(await sampleState(owner, job)).toBe('sample');
    expect(await members()).toHaveLength(6);
    expect(await goOnSample(owner, job, 'eu')).toBe(true);
    expect(await members()).toContainEqual({ team: 'made-up-eu', name: 'new' });
    expect(await fillSample(owner, job, context)).toBe(false);
  });

  test.each([
    ['beside it', 'made-up-eu'],
    ['alone', 'theirs'],
  ])('leaves rows of others alone that are there %s', async (_, first) => {
    await owner.query(`insert into teams values ($1, 'eu'), ('theirs-too', 'eu')`, [first]);
    expect(await sampleState(owner, job)).toBe('others');
    expect(await fillSample(owner, job, context)).toBe(false);
    expect(await goOnSample(owner, job, 'eu')).toBe(false);
    expect(await members()).toEqual([]);
  });

  test.each([
    [
      'makes units of another name',
      async ({ sql }) => {
        await sql`insert into teams values ('odd', 'eu')`;
      },
    ],
    ['makes none', () => Promise.resolve()],
  ] satisfies [string, SampledJob['sample']['fill']][])('that %s is undone, and refused', async (_, fill) => {
    await expect(
      fillSample(owner, { ...job, sample: { units: 'made-up-', fill } }, context),
    ).rejects.toMatchObject({ code: 'JOB_INVALID', message: expect.stringContaining('"made-up-"') });
    expect(await sampleState(owner, job)).toBe('empty');
  });

  test('is not asked of tables that are not there', async () => {
    const other = { ...job, unit: { ...job.unit, table: 'public.nowhere' } };
    expect(await sampleState(owner, other)).toBe('absent');
    expect(await fillSample(owner, other, context)).toBe(false);
  });
});

describe('a test on the job’s sample', () => {
  test(
    'has its rows, of the seed that it names',
    testJob(greeting, { schema, region: 'eu', sample: 'another' })(async (it) => {
      expect(calls.at(-1)).toBe('another');
      const run = await it.run();
      run.expect({ status: 'succeeded', applied: { greet: 3 } });
      await it.restoreExactly(run);
    }),
  );
});
