import { describe, expect, test } from '@jest/globals';
import { domainClaim } from '../../src/jobs/domain-claim/job.js';
import { restoreRuns } from '../../src/worker/restore-runs.js';
import { findRun } from '../../src/runs/browse-runs.js';
import { claiming } from '../support/claiming.js';
import { testDatabase } from '../support/database.js';
import { poster, serving } from './serving.js';

const database = await testDatabase();
const { owner } = database;
const here = await claiming(database);
const served = await serving(owner, {
  jobs: () => [{ name: 'claims', version: '1.0.0_a', schedule: null, regions: [], kinds: ['claim'] }],
});

const ann = poster(await served.as('ann', 'operator'));
const bob = poster(await served.as('bob', 'approver'));
const boundAnn = poster(await served.as('bound-ann', 'operator', ['elsewhere']));

const get = async (path: string): Promise<Record<string, unknown>> =>
  (await served.json(`/api/v1/incidents/${path}`)).body;

describe('an incident over HTTP', () => {
  test('goes from a kill to its post-mortem', async () => {
    const run = await here.run();
    const { body: killed } = await ann('jobs/claims/kill', { region: here.region, reason: 'wrong claims' });
    const id = String(killed['incident']);
    expect((await served.json('/api/v1/incidents?unclosed=true')).body['items']).toMatchObject([
      { id, state: 'contained', cause: 'kill', job: 'claims' },
    ]);
    const undamaged = await get(id);
    expect(undamaged).toMatchObject({ runs: [], impact: { rows: 0 }, regions: [{ damaged: false }] });
    expect((await get(`${id}/status-updates`))['updates']).toEqual([]);
    expect(await ann(`incidents/${id}/restore`, {})).toMatchObject({
      ...{ status: 409, body: { code: 'INCIDENT_STATE', hint: expect.stringContaining('incident include') } },
    });
    expect(await ann(`incidents/${id}/include`, {})).toMatchObject({ status: 400 });
    const since = run?.run.createdAt.toISOString();
    expect((await ann(`incidents/${id}/include`, { since, reason: 'all of it' })).body).toMatchObject({
      regions: [{ damaged: true, firstRun: null }],
    });
    expect(await get(id)).toMatchObject({
      ...{ id, state: 'contained', silent: [], measures: { restoreMs: null } },
      runs: [{ id: run?.run.id, restore: null }],
      impact: {
        rows: 200,
        units: 10,
        byProduct: null,
        runs: 1,
        restored: 0,
        regions: [{ region: here.region, rows: 200 }],
      },
    });
    const runbook = await get(`${id}/runbook`);
    expect((runbook['steps'] as { title: string }[])[0]).toMatchObject({ title: 'Stop it' });
    expect(runbook['page']).toBeNull();
    const page = async (file: URL): Promise<unknown> => {
      const definition = { ...domainClaim, name: 'claims', runbook: file };
      const knowing = await serving(owner, { installed: () => [{ definition, version: '1.0.0_a' }] });
      return (await knowing.json(`/api/v1/incidents/${id}/runbook`)).body['page'];
    };
    expect(domainClaim.runbook && (await page(domainClaim.runbook))).toMatch(/^# domain-claim: /);
    expect(await page(new URL('missing.md', import.meta.url))).toBe(
      'The runbook that claims brings cannot be read: ENOENT',
    );

    const begun = await ann(`incidents/${id}/restore`, {});
    expect(begun).toMatchObject({
      status: 202,
      body: { id, state: 'restoring', restores: [{ runId: run?.run.id, begun: true }], left: 0 },
    });
    const again = await ann(`incidents/${id}/restore`, {});
    expect(again.body['restores']).toMatchObject([{ begun: false }]);
    await restoreRuns(here.platform, [run?.run.id ?? ''], {
      signal: new AbortController().signal,
      paceOf: () => ({ leaseMs: 20_000, batch: 50 }),
    });
    const nothing = { status: 409, body: { code: 'NOTHING_REACHED' } };
    expect(await ann(`incidents/${id}/restore`, {})).toMatchObject(nothing);
    expect(await get(id)).toMatchObject({ state: 'restored' });

    const moments = (await get(`${id}/timeline`))['moments'] as { kind: string }[];
    expect(moments.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['first-change', 'kill', 'restore-succeeded']),
    );
    expect((await ann(`incidents/${id}/close`, { conclusion: 'mended' })).body).toMatchObject({
      state: 'closed',
    });
    const markdown = await served.call(`/api/v1/incidents/${id}/post-mortem`);
    expect(markdown.headers.get('content-type')).toBe('text/markdown; charset=utf-8');
    expect(await markdown.text()).toContain('200 rows of 10 units');
    expect(((await get(`${id}/status-updates`))['updates'] as unknown[]).length).toBe(3);
    expect(await ann(`incidents/${id}/restore`, {})).toMatchObject(nothing);
  });

  test('that a person opens takes in the run that they name, and is joined by the next', async () => {
    const report = await here.run();
    const run = await findRun(owner, report?.run.id ?? '');
    const opened = await bob('incidents', { job: 'claims', run: run.runId, title: 'customers call' });
    expect(opened.body).toMatchObject({ joined: false });
    const id = String(opened.body['id']);
    expect(await get(id)).toMatchObject({ state: 'open', version: run.version, runs: [{ id: run.runId }] });
    expect((await bob('incidents', { job: 'claims', regions: [here.region], title: 'again' })).body).toEqual({
      ...{ id, joined: true },
    });
    expect(await ann(`incidents/${id}/restore`, {})).toMatchObject({
      status: 409,
      body: { code: 'INCIDENT_STATE' },
    });
    // Nobody gets all of it who asked for a part.
    expect(await ann(`incidents/${id}/restore`, { units: ['r1-org-1'] })).toMatchObject({ status: 400 });
    const refused = { status: 403, body: { code: 'FORBIDDEN' } };
    for (const [path, body] of [
      ['restore', {}],
      ['close', { conclusion: 'x', falseAlarm: true }],
      ['include', { run: run.runId }],
    ] as const) {
      expect(await boundAnn(`incidents/${id}/${path}`, body)).toMatchObject(refused);
    }
    expect(await boundAnn('incidents', { job: 'claims', run: run.runId, title: 'x' })).toMatchObject(refused);
    // An approver may say how it ended, and put nothing back.
    expect(await bob(`incidents/${id}/restore`, {})).toMatchObject(refused);
    expect(
      (await bob(`incidents/${id}/close`, { conclusion: 'as asked', falseAlarm: true })).body,
    ).toMatchObject({
      ...{ state: 'closed', falseAlarm: true, closedBy: 'bob' },
    });
    expect(await bob(`incidents/${id}/close`, { conclusion: 'x' })).toMatchObject({ status: 409 });
  });

  test('is refused with what there is instead', async () => {
    const named = { job: 'claims', title: 'x' };
    expect(await ann('incidents', { ...named, job: 'clams' })).toMatchObject({
      ...{ status: 404, body: { code: 'JOB_UNKNOWN' } },
    });
    expect(await ann('incidents', { ...named, run: '0123456789' })).toMatchObject({
      ...{ status: 404, body: { code: 'RUN_UNKNOWN' } },
    });
    expect(await ann('incidents', { ...named, title: ' ' })).toMatchObject({ status: 400 });
    expect(await served.json('/api/v1/incidents/k3v7qa2m')).toMatchObject({
      ...{ status: 404, body: { code: 'INCIDENT_UNKNOWN' } },
    });
  });
});
