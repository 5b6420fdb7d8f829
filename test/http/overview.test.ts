import { beforeAll, expect, test } from '@jest/globals';
import { overviewState } from '../../src/operations/overview.js';
import { writeVerdicts } from '../../src/guard/verdict-rows.js';
import { testDatabase } from '../support/database.js';
import { hearFlags, seedRun, serving } from './serving.js';

const { owner } = await testDatabase();
const served = await serving(owner, { flags: (await hearFlags(owner)).desk });

beforeAll(async () => {
  await owner.query(
    `insert into portcullis_region.gate (job, region, state, permit_until, reason_code, reason, killed_by, killed_at) values
       ('domain-claim', 'eu-west-1', 'open', clock_timestamp() + interval '1 hour', 'flag-on', '', null, null),
       ('domain-claim', 'us-east-1', 'killed', clock_timestamp(), 'killed', 'it was wrong', 'bob', clock_timestamp()),
       ('other', 'eu-west-1', 'open', clock_timestamp() - interval '1 second', 'flag-on', '', null, null)`,
  );
  for (let minute = 10; minute < 30; minute += 1)
    await seedRun(owner, { createdAt: `2026-03-01T09:${minute}:00.000Z` });
});

interface Overview {
  readonly jobs: readonly {
    readonly job: string;
    readonly gates: readonly Readonly<Record<string, unknown>>[];
  }[];
}
const overview = async (query = ''): Promise<Overview> =>
  (await served.json(`/api/v1/overview${query}`)).body as unknown as Overview;

test('every gate is told with its state and why, also where no worker has ever looked', async () => {
  const { jobs } = await overview();
  const gates = jobs.flatMap(({ job, gates: own }) =>
    own.map(({ region, state, why }) => [job, region, state, why]),
  );
  expect(gates).toEqual([
    ['domain-claim', 'ap-south-1', 'silent', 'No worker serves this region'],
    ['domain-claim', 'eu-west-1', 'open', ''],
    ['domain-claim', 'us-east-1', 'killed', 'killed by bob: it was wrong'],
    ['other', 'eu-west-1', 'silent', 'permit expired: no worker renews it'],
  ]);
});

test('many gates are told by parts, each of whole jobs, and all of them together are every gate', async () => {
  const parts: { jobs: { job: string; gates: unknown[] }[]; next: string | null }[] = [];
  do {
    const cursor = parts.at(-1)?.next ?? null;
    const query = new URLSearchParams({ limit: '2', ...(cursor !== null && { cursor }) });
    parts.push((await overview(`?${query.toString()}`)) as never);
  } while (parts.at(-1)?.next !== null);
  // A job of more gates than a part has is a part of its own.
  expect(parts.map(({ jobs }) => jobs.map(({ job, gates }) => [job, gates.length]))).toEqual([
    [['domain-claim', 3]],
    [['other', 1]],
  ]);
  const states = (jobs: { gates: unknown[] }[]) =>
    jobs.flatMap(({ gates }) => gates.map((gate) => ({ ...(gate as object), permitRemainingMs: 0 })));
  expect(states(parts.flatMap(({ jobs }) => jobs))).toEqual(states((await overview()).jobs as never));
  expect((await overview('?limit=100')) as unknown).toMatchObject({ next: null, jobs: [{}, {}] });
  expect((await served.json('/api/v1/overview?limit=2&cursor=nonsense')).status).toBe(400);
});

test('dashboards are linked to where the installation names its Grafana', async () => {
  expect((await served.json('/api/v1/dashboards')).body).toEqual({ items: [] });
  const { json } = await serving(owner, { grafanaUrl: 'https://grafana.example' });
  const { items } = (await json('/api/v1/dashboards?job=other&region=eu-west-1&from=2026-03-01T09:00:00Z'))
    .body as { items: { uid: string; url: string }[] };
  expect(items.find(({ uid }) => uid === 'portcullis-runs')?.url).toBe(
    `https://grafana.example/d/portcullis-runs?var-job=other&var-region=eu-west-1&from=${Date.parse('2026-03-01T08:30:00Z')}&to=now`,
  );
  expect((await json('/api/v1/me')).body['grafana']).toBe('https://grafana.example');
  const wrong = await json('/api/v1/dashboards?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z');
  expect([wrong.status, wrong.body['code']]).toEqual([400, 'REQUEST_INVALID']);
});

test('of its runs the newest twelve are told, newest first, and what each changed', async () => {
  const { jobs } = await overview('?job=domain-claim');
  expect(jobs.map(({ job }) => job)).toEqual(['domain-claim']);
  const { runs } = jobs[0]?.gates.find(({ region }) => region === 'eu-west-1') as unknown as {
    runs: { at: string; planned: number; applied: number }[];
  };
  expect(runs).toHaveLength(12);
  expect(runs[0]).toMatchObject({ at: '2026-03-01T09:29:00.000Z', planned: 3, applied: 2 });
  expect(runs.at(-1)?.at).toBe('2026-03-01T09:18:00.000Z');
});

test('each run is told with what a count rule expected of it then: the one that was surprised most', async () => {
  const at = (minute: number) => ({ job: 'banded', createdAt: `2026-03-01T09:${minute}:00.000Z` });
  await owner.query(
    `insert into portcullis_region.gate (job, region, state, reason_code, reason) values ('banded', 'eu-west-1', 'held', 'test', '')`,
  );
  const said = (rule: string, figures: Readonly<Record<string, number | null>>) =>
    ({ rule, verdict: 'pass', reason: `${rule}: fine`, figures }) as const;
  const [judged, few, unbounded] = [
    await seedRun(owner, at(10)),
    await seedRun(owner, at(11)),
    await seedRun(owner, at(12)),
  ];
  await seedRun(owner, at(13));
  await writeVerdicts(owner, judged, 'plan', [
    said('cap:claim', { observed: 3, limit: 1000 }),
    said('claims-per-run', { observed: 60, expected: 20, low: 8, high: 41, p: 0.004, limit: 2.5e-4 }),
    said('organisations-claimed', { observed: 3, expected: 3, low: 0, high: 7, p: 0.41, limit: 1e-6 }),
  ]);
  await writeVerdicts(owner, judged, 'bake', [said('logins', { observed: 1, low: 0, high: 2, p: 1e-9 })]);
  await writeVerdicts(owner, few, 'plan', [
    { ...said('claims-per-run', { observed: 3, samples: 2, limit: 2.5e-4 }), verdict: 'too-few' },
  ]);
  // As JSON has infinity: no earlier run had worked.
  await writeVerdicts(owner, unbounded, 'plan', [
    said('claims-per-run', { observed: 3, expected: 0, low: 0, high: Infinity, p: 0.2, limit: 2.5e-4 }),
  ]);
  const { jobs } = await overview('?job=banded');
  const { runs } = jobs[0]?.gates[0] as unknown as { runs: { expected: unknown }[] };
  expect(runs.map(({ expected }) => expected)).toEqual([
    null,
    null,
    null,
    { rule: 'claims-per-run', observed: 60, low: 8, high: 41 },
  ]);
});

test.each([
  ['open', 1, 'rolling-out'],
  ['open', 0, 'open'],
  ['held', 1, 'held'],
  ['killed', 1, 'killed'],
  ['expired', 1, 'silent'],
  ['unreachable', 0, 'silent'],
] as const)('a gate that is %s, at step %i of a rollout, is shown as %s', (state, step, shown) => {
  const rollout = { version: '1.1.0_a', permille: 10, step, steps: 3 };
  expect(overviewState({ state }, { job: 'any' }, rollout)).toBe(shown);
});
