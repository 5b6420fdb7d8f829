import { beforeEach, describe, expect, test } from '@jest/globals';
import { testDatabase } from '../support/database.js';
import { post, poster, serving } from './serving.js';

const { owner } = await testDatabase();
const job = {
  ...{ name: 'domain-claim', version: '1.0.0_a', schedule: null, kinds: ['claim'] },
  regions: ['eu-west-1', 'us-east-1'],
};
const served = await serving(owner, { jobs: () => [job] });

const event = (id: string, changes: Record<string, unknown> = {}) => ({
  ...{ id, job: 'domain-claim', region: 'eu-west-1', unit: 'org-1', kind: 'login-failed' },
  at: '2026-03-01T09:30:00Z',
  ...changes,
});
const report = (...outcomes: unknown[]) => served.json('/api/v1/outcomes', post({ outcomes }));

async function kept(): Promise<Record<string, unknown>[]> {
  const { rows } = await owner.query<Record<string, unknown>>(
    'select id, region, unit, kind, at from portcullis_region.outcome order by seq',
  );
  return rows;
}

beforeEach(() => owner.query('delete from portcullis_region.outcome'));

describe('outcomes', () => {
  test('are kept, each id of a job once, however often and with however many at once it is reported', async () => {
    expect((await report(event('a'), event('b', { region: 'us-east-1' }))).body).toEqual({
      kept: 2,
      known: 0,
    });
    expect((await report(event('a'), event('c'), event('c'))).body).toEqual({ kept: 1, known: 2 });
    const answers = await Promise.all(Array.from({ length: 8 }, () => report(event('d'), event('e'))));
    const sum = answers.reduce((total, { body }) => total + Number(body['kept']), 0);
    expect(sum).toBe(2);
    expect((await kept()).map(({ id }) => id).sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await served.deps.metrics.text()).toMatch(
      /portcullis_outcomes_total\{job="domain-claim",region="eu-west-1"\} 4/,
    );
  });

  test('from the future count as of now', async () => {
    await report(event('a', { at: '2999-01-01T00:00:00+01:00' }));
    const [one] = await kept();
    expect((one?.['at'] as Date).getTime()).toBeLessThanOrEqual(Date.now() + 60_000);
  });

  test('are kept all, or none where one is wrong', async () => {
    const misplaced = await report(event('a'), event('b', { region: 'eu-wset-1' }));
    expect(misplaced.body).toMatchObject({ code: 'REGION_UNKNOWN', hint: 'did you mean eu-west-1?' });
    expect((await report(event('a'), event('b', { job: 'domain-clam' }))).body['code']).toBe('JOB_UNKNOWN');
    expect((await report(event('a'), event('b', { at: 'yesterday' }))).status).toBe(400);
    expect((await report(event('a'), { ...event('b'), account: 'acc-1' })).status).toBe(400);
    expect((await report()).status).toBe(400);
    expect(await kept()).toEqual([]);
  });

  test('come in bounded batches', async () => {
    const many = (count: number) => Array.from({ length: count }, (_, at) => event(`e-${at}`));
    expect((await report(...many(200))).body).toEqual({ kept: 200, known: 0 });
    expect((await report(...many(201))).body['code']).toBe('REQUEST_INVALID');
    const large = { unit: 'u'.repeat(200), id: 'i'.repeat(190) };
    expect(
      (await report(...many(200).map((each, at) => ({ ...each, ...large, id: `${large.id}${at}` })))).status,
    ).toBe(413);
  });

  test('are taken from a worker for its regions, and not from a viewer', async () => {
    const as = async (role: 'worker' | 'viewer', outcome: unknown) => {
      const name = `${role}-${Math.random()}`.replace('0.', '');
      const json = await served.as(name, role, ['eu-west-1']);
      return (await poster(json)('outcomes', { outcomes: [outcome] })).status;
    };
    expect(await as('worker', event('a'))).toBe(200);
    expect(await as('worker', event('b', { region: 'us-east-1' }))).toBe(403);
    expect(await as('viewer', event('c'))).toBe(403);
  });
});
