import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { admitVersions } from '../support/admissions.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { hearFlags, post, seedRun, serving, type Answer } from './serving.js';

const database = await testDatabase();
const { owner } = database;
const flags = await hearFlags(owner);
const served = await serving(owner, {
  flags: flags.desk,
  jobs: () => [
    { name: 'b-job', version: '1.0.0_b', schedule: null, regions: ['eu-west-1'], kinds: ['mark'] },
    { name: 'a-job', version: '1.0.0_a', schedule: '*/10 * * * *', regions: ['us-east-1'], kinds: ['claim'] },
  ],
});

type Item = Record<string, unknown>;
const itemsOf = (answer: Answer) => answer.body['items'] as Item[];

/** Every item of a list, page by page; `between` runs after each page. */
async function walk(
  path: string,
  between: () => Promise<unknown> = () => Promise.resolve(),
): Promise<Item[]> {
  const items: Item[] = [];
  let next: unknown = null;
  do {
    const cursor = typeof next === 'string' ? `&cursor=${encodeURIComponent(next)}` : '';
    const page = await served.json(path + (path.includes('?') ? '&' : '?') + `limit=7${cursor}`);
    expect(page.status).toBe(200);
    expect(itemsOf(page).length).toBeLessThanOrEqual(7);
    items.push(...itemsOf(page));
    next = page.body['next'];
    await between();
  } while (next !== null);
  return items;
}

describe('the list of runs', () => {
  test('is walked once each, newest first, also where times are equal and rows are added', async () => {
    const job = 'walked';
    const ids: string[] = [];
    for (let n = 0; n < 40; n += 1) {
      // Groups of five share a time; the groups differ by microseconds, which a Date would lose.
      const micros = String(100 + Math.floor(n / 5)).padStart(6, '0');
      ids.push(await seedRun(owner, { job, createdAt: `2026-03-01T00:00:00.${micros}Z` }));
    }
    const seen = await walk(`/api/v1/runs?job=${job}`, () =>
      seedRun(owner, { job, createdAt: new Date().toISOString() }),
    );
    expect(new Set(seen.map((run) => run['runId']))).toEqual(new Set(ids));
    expect(seen).toHaveLength(ids.length);
    const { rows } = await owner.query<{ id: string }>(
      `select id from portcullis_region.run where job = $1 and created_at < '2026-03-02' order by created_at desc, id`,
      [job],
    );
    expect(seen.map((run) => run['runId'])).toEqual(rows.map((row) => row.id));
  });

  test('is filtered by job, region and status', async () => {
    const wanted = await seedRun(owner, { job: 'filtered', region: 'us-east-1', status: 'held' });
    await seedRun(owner, { job: 'filtered', region: 'us-east-1', status: 'failed' });
    await seedRun(owner, { job: 'filtered', region: 'eu-west-1', status: 'held' });
    await seedRun(owner, { job: 'other', region: 'us-east-1', status: 'held' });
    const found = await served.json('/api/v1/runs?job=filtered&region=us-east-1&status=held');
    expect(itemsOf(found).map((run) => run['runId'])).toEqual([wanted]);
    expect(found.body['next']).toBeNull();
  });
});

describe('one run', () => {
  const id = 'abcd1234-0000-4000-8000-000000000001';

  test('is had by its id and by the beginning of it, with or without hyphens, in either case', async () => {
    await seedRun(owner, { id, createdAt: '2026-02-01T00:00:00Z', finishedAt: '2026-02-01T00:00:01.500Z' });
    for (const asked of [id, 'abcd', 'ABCD1234', 'abcd1234-0', 'abcd12340000']) {
      const { status, body } = await served.json(`/api/v1/runs/${asked}`);
      expect([asked, status, body['runId']]).toEqual([asked, 200, id]);
    }
    const { body } = await served.json(`/api/v1/runs/${id}`);
    expect(body).toMatchObject({
      planned: { claim: 3 },
      applied: { claim: 2 },
      conflicts: 1,
      admittedUnits: 12,
      askedPermille: null,
      admittedPermille: null,
      breakGlass: null,
      createdAt: '2026-02-01T00:00:00.000Z',
      finishedAt: '2026-02-01T00:00:01.500Z',
      durationMs: 1_500,
    });
  });

  test('that still runs has no end and no duration', async () => {
    const active = await seedRun(owner, { job: 'active', status: 'applying', finishedAt: null });
    const { body } = await served.json(`/api/v1/runs/${active}`);
    expect(body).toMatchObject({ status: 'applying', finishedAt: null, durationMs: null });
  });

  test('is ambiguous where several begin alike, and some of them are named', async () => {
    const two = ['beef0000-0000-4000-8000-000000000001', 'beef0000-0000-4000-8000-000000000002'];
    for (const each of two) await seedRun(owner, { id: each });
    const { status, body } = await served.json('/api/v1/runs/beef');
    expect([status, body['code']]).toEqual([409, 'RUN_AMBIGUOUS']);
    expect(body['details']).toEqual({ id: 'beef', candidates: two });
  });

  test.each([
    ['0123456789ab', 404, 'RUN_UNKNOWN'],
    [randomUUID(), 404, 'RUN_UNKNOWN'],
    ['abc', 400, 'REQUEST_INVALID'],
    ['not-hex', 400, 'REQUEST_INVALID'],
    ['%00', 400, 'REQUEST_INVALID'],
    [`${id}0`, 400, 'REQUEST_INVALID'],
  ])('%s answers %i %s', async (asked, status, code) => {
    for (const path of [`/api/v1/runs/${asked}`, `/api/v1/runs/${asked}/changes`]) {
      const answer = await served.json(path);
      expect([answer.status, answer.body['code']]).toEqual([status, code]);
    }
  });
});

describe("a run's changes", () => {
  async function seedChanges(status: string): Promise<string> {
    const run = await seedRun(owner, { job: `changes-${status}`, status });
    await owner.query(
      `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
       select $1, lane, seq, 'account', lane || '-' || seq, case when seq % 2 = 0 then 'claim' else 'verify' end,
              'org-1', '{"state": "UNMANAGED"}', '{"state": "MANAGED"}', '{"domain": "example.com"}'
       from generate_series(0, 1) lane, generate_series(1, 10) seq`,
      [run],
    );
    await owner.query(
      `insert into portcullis_region.lane (run, lane, attempt, last_seq, applied_seq) values ($1, 0, 1, 10, 10), ($1, 1, 1, 10, 4)`,
      [run],
    );
    await owner.query(
      `insert into portcullis_region.batch (run, lane, from_seq, to_seq, attempt, applied_at) values
         ($1, 0, 0, 4, 1, '2026-01-01T00:00:01Z'), ($1, 0, 4, 10, 1, '2026-01-01T00:00:02Z'),
         ($1, 1, 0, 4, 1, '2026-01-01T00:00:03Z')`,
      [run],
    );
    await owner.query(
      `insert into portcullis_region.conflict (run, lane, seq, found) values ($1, 0, 3, '{"state": "RELEASED"}')`,
      [run],
    );
    return run;
  }

  test('say of each what became of it, and when', async () => {
    const run = await seedChanges('stopped');
    const changes = await walk(`/api/v1/runs/${run}/changes`);
    expect(changes.map(({ lane, seq }) => [lane, seq])).toEqual(
      [0, 1].flatMap((lane) => Array.from({ length: 10 }, (_, index) => [lane, index + 1])),
    );
    const at = (lane: number, seq: number) =>
      changes.find((change) => change['lane'] === lane && change['seq'] === seq);
    expect(at(0, 1)).toMatchObject({
      resource: 'account',
      key: '0-1',
      before: { state: 'UNMANAGED' },
      after: { state: 'MANAGED' },
      evidence: { domain: 'example.com' },
      state: 'applied',
      appliedAt: '2026-01-01T00:00:01.000Z',
      found: null,
    });
    expect(at(0, 3)).toMatchObject({ state: 'conflict', appliedAt: null, found: { state: 'RELEASED' } });
    expect(at(0, 4)).toMatchObject({ appliedAt: '2026-01-01T00:00:01.000Z' });
    expect(at(0, 5)).toMatchObject({ appliedAt: '2026-01-01T00:00:02.000Z' });
    expect(at(1, 4)).toMatchObject({ state: 'applied', appliedAt: '2026-01-01T00:00:03.000Z' });
    expect(at(1, 5)).toMatchObject({ state: 'not-applied', appliedAt: null });
  });

  test('not yet reached are planned while the run goes on', async () => {
    const run = await seedChanges('applying');
    const planned = await walk(`/api/v1/runs/${run}/changes?state=planned`);
    expect(planned.map(({ lane, seq }) => [lane, seq])).toEqual([5, 6, 7, 8, 9, 10].map((seq) => [1, seq]));
  });

  test('are filtered by kind and state', async () => {
    const run = await seedChanges('failed');
    const conflicts = await walk(`/api/v1/runs/${run}/changes?state=conflict`);
    expect(conflicts.map(({ lane, seq }) => [lane, seq])).toEqual([[0, 3]]);
    const claims = await walk(`/api/v1/runs/${run}/changes?kind=claim`);
    expect(claims).toHaveLength(10);
    expect(new Set(claims.map(({ kind }) => kind))).toEqual(new Set(['claim']));
  });

  test('begin with any of them, so that a place far down needs no walk', async () => {
    const run = await seedChanges('held');
    const page = await served.json(`/api/v1/runs/${run}/changes?from=0.9&limit=4`);
    const places = (page.body['items'] as { lane: number; seq: number }[]).map(({ lane, seq }) => [
      lane,
      seq,
    ]);
    expect(places).toEqual([
      [0, 9],
      [0, 10],
      [1, 1],
      [1, 2],
    ]);
    const behind = await walk(`/api/v1/runs/${run}/changes?from=1.8`);
    expect(behind.map(({ lane, seq }) => [lane, seq])).toEqual([8, 9, 10].map((seq) => [1, seq]));
    for (const from of ['x', '1', '99999.1', '0.9999999999']) {
      const refused = await served.json(`/api/v1/runs/${run}/changes?from=${from}`);
      expect([from, refused.body['code']]).toEqual([from, 'REQUEST_INVALID']);
    }
  });
});

describe('the other lists', () => {
  test('gates are walked by job and region, and say whether they permit now', async () => {
    for (let n = 0; n < 9; n += 1) {
      await owner.query(
        `insert into portcullis_region.gate (job, region, state, permit_until)
         values ('gated', $1, 'open', case when $2 then clock_timestamp() + interval '1 hour' else '-infinity' end)`,
        [`region-${n}`, n === 0],
      );
    }
    const gates = await walk('/api/v1/gates?job=gated');
    expect(gates.map(({ region }) => region)).toEqual(Array.from({ length: 9 }, (_, n) => `region-${n}`));
    expect(gates.filter(({ permits }) => permits === true)).toHaveLength(1);
    expect(gates[0]?.['permitRemainingMs']).toBeGreaterThan(3_500_000);
    expect(gates[1]).toMatchObject({
      state: 'open',
      permits: false,
      permitUntil: null,
      permitRemainingMs: 0,
    });
  });

  test('flags carry what this process would answer now', async () => {
    await admitVersions(owner, { job: 'domain-claim', region: 'eu-west-1' }, ['1.0.0_a']);
    const on = post({ enabled: true, variants: [{ version: '1.0.0_a', permille: 1000 }], reason: 'test' });
    expect((await served.json('/api/v1/flags/domain-claim/eu-west-1', on)).status).toBe(200);
    await until('the flag is heard', () => flags.desk.look('domain-claim.eu-west-1').open);
    const shown = await walk('/api/v1/flags');
    expect(shown.map(({ name, open, closedCode }) => [name, open, closedCode])).toEqual([
      ['domain-claim.ap-south-1', false, 'flag-off'],
      ['domain-claim.eu-west-1', true, null],
      ['domain-claim.us-east-1', false, 'flag-off'],
    ]);
    expect(await walk('/api/v1/flags?region=eu-west-1')).toHaveLength(1);
  });

  test('a list in memory is walked by key as well', async () => {
    const first = await served.json('/api/v1/flags?limit=2');
    const second = await served.json(`/api/v1/flags?limit=2&cursor=${String(first.body['next'])}`);
    expect([...itemsOf(first), ...itemsOf(second)].map(({ region }) => region)).toEqual([
      'ap-south-1',
      'eu-west-1',
      'us-east-1',
    ]);
    expect(second.body['next']).toBeNull();
  });

  test('jobs are listed by name and filtered by region', async () => {
    expect((await walk('/api/v1/jobs')).map(({ name }) => name)).toEqual(['a-job', 'b-job']);
    expect((await walk('/api/v1/jobs?region=eu-west-1')).map(({ name }) => name)).toEqual(['b-job']);
  });
});
