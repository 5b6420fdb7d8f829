import { describe, expect, test } from '@jest/globals';
import { createClient } from '../../src/client/client.js';
import { killGate } from '../../src/containment/kill-gate.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { startWorker } from '../../src/worker/worker.js';
import { elect } from '../../src/runs/election.js';
import { accountsUsedIn, claimEverything, seedAccounts } from '../support/accounts.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';
import { until } from '../support/until.js';
import { post, serving } from './serving.js';

const database = await testDatabase();
const platform = testPlatform(database);
const job = await loadTestJob(platform, accountsUsedIn(claimEverything('claims')));
const policy = testPolicy('claims', ['r1']);
await seedAccounts(database.owner, 'r1', 5, 4);
await database.owner.query(
  `insert into directory.product_use select id, 'Jira' from directory.account where id like '%-0'`,
);
platform.flags.open('claims', 'r1', { version: job.version, permille: 1000 });
const election = await elect(platform.region, {
  ...{ job: 'claims', version: job.version, region: 'r1', trigger: 'manual', worker: 'w', leaseMs: 20_000 },
});
if (!election.elected) throw new Error(election.why);
const { signal } = new AbortController();
await executeRun(platform, job, policy, election.run, 'planning', { signal });
const run = election.run.id;
const served = await serving(database.owner, { installed: () => [job] });
await platform.planner.close();

async function linesOf<Line>(lines: AsyncIterable<Line>): Promise<Line[]> {
  const all: Line[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

describe('over HTTP', () => {
  test('a run’s impact is told in numbers', async () => {
    expect(await served.json(`/api/v1/runs/${run}/impact`)).toMatchObject({
      status: 200,
      body: {
        ...{ runId: run, units: 5, rows: 20, conflicts: 0 },
        byKind: [{ resource: 'account', kind: 'claim', rows: 20 }],
        byProduct: [{ product: 'Jira', rows: 5, units: 5 }],
      },
    });
  });

  test('who reads the changes page by page is put on record once, for each part of them', async () => {
    const client = createClient({ url: served.url, token: served.token });
    const first = await client.call('listRunChanges', { id: run, limit: 5 });
    await client.call('listRunChanges', { id: run, limit: 5, cursor: first.next ?? '' });
    await client.call('listRunChanges', { id: run, limit: 5, state: 'conflict' });
    const { rows } = await database.owner.query<{ state: string | null }>(
      `select evidence ->> 'state' as state from portcullis_control.audit
       where action = 'read-personal-data' and subject = $1 order by seq`,
      [`run ${run}`],
    );
    expect(rows).toEqual([{ state: null }, { state: 'conflict' }]);
  });

  test('a row is told as of before the run, and as of now', async () => {
    const at = async (time: string) =>
      (await served.json(`/api/v1/asof/account:r1-acc-0-0?at=${encodeURIComponent(time)}`)).body;
    expect(await at('2021-02-10T00:00:00Z')).toMatchObject({
      ...{ from: 'change-after', run, image: { state: 'UNMANAGED', organisation_id: null } },
    });
    expect(await at('2100-01-01T00:00:00Z')).toMatchObject({
      ...{
        from: 'change-before',
        run,
        kind: 'claim',
        image: { state: 'MANAGED', organisation_id: 'r1-org-0' },
      },
    });
    const { status, body } = await served.json('/api/v1/asof/acount:a?at=2100-01-01T00:00:00Z');
    expect([status, body['code'], body['hint']]).toEqual([404, 'SUBJECT_UNKNOWN', 'did you mean account:a?']);
  });

  test('units and conflicts come line by line, and a row that was changed since is among the latter', async () => {
    const client = createClient({ url: served.url, token: served.token });
    const units = await linesOf(await client.call('exportRunUnits', { id: run, most: 2 }));
    expect(units).toEqual([
      { region: 'r1', unit: 'r1-org-0', rows: 4, byResource: { account: 4 } },
      { region: 'r1', unit: 'r1-org-1', rows: 4, byResource: { account: 4 } },
    ]);
    expect(await linesOf(await client.call('exportConflicts', { id: run }))).toEqual([]);
    const claimed = { state: 'MANAGED', organisation_id: 'r1-org-0' };
    const sql = (text: string) => database.owner.query(text);
    await sql(`update directory.account set organisation_id = 'r1-org-1' where id = 'r1-acc-0-0'`);
    expect(await linesOf(await client.call('exportConflicts', { id: run }))).toMatchObject([
      {
        ...{ resource: 'account', key: 'r1-acc-0-0', unit: 'r1-org-0', after: claimed },
        now: { ...claimed, organisation_id: 'r1-org-1' },
      },
    ]);
    await sql(`update directory.account set organisation_id = 'r1-org-0' where id = 'r1-acc-0-0'`);
    expect(await linesOf(await client.call('exportConflicts', { id: run }))).toEqual([]);
  });

  test('what cannot be begun is an error, and who goes away leaves no connection behind', async () => {
    const client = createClient({ url: served.url, token: served.token });
    await expect(client.call('exportRunUnits', { id: 'feedfeed' })).rejects.toMatchObject({
      code: 'RUN_UNKNOWN',
    });
    const { owner } = database;
    for await (const entry of await client.call('exportAudit')) {
      expect(entry.seq).toBe(1);
      break;
    }
    await until('every connection is free', () => Promise.resolve(owner.idleCount === owner.totalCount));
  });

  let part = '';
  test('a part of a run is looked at and restored alone, and twice is nothing to do', async () => {
    const path = `/api/v1/runs/${run}/restore`;
    const where = '?unit=r1-org-1&unit=r1-org-2&key=account:r1-acc-1-0&key=account:r1-acc-3-0';
    expect((await served.json(path + where)).body).toMatchObject({ applied: 1, restorable: 1, triggers: [] });
    const client = createClient({ url: served.url, token: served.token });
    const looked = await client.call('previewRestore', { id: run, unit: ['r1-org-1', 'r1-org-2'] });
    expect(looked).toMatchObject({ applied: 8, restorable: 8, trial: null });
    expect(await served.json(`${path}?resource=domain`)).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID', hint: 'it changed account; a key is given as account:KEY' },
    });
    expect(await served.json(`${path}?key=nothing`)).toMatchObject({ status: 400 });
    const units = { units: ['r1-org-1'] };
    const begun = await served.json(path, post(units));
    expect(begun).toMatchObject({ status: 202, body: { begun: true } });
    part = String(begun.body['restore']);
    expect(await served.json(path, post(units))).toMatchObject({ body: { restore: part, begun: false } });
    expect(await served.json(path, post({ units: ['r1-org-2'] }))).toMatchObject({
      ...{ status: 409, body: { code: 'RUN_ACTIVE' } },
    });
    const worker = await startWorker(platform, [{ job, policy, regions: ['r1'] }], { sweepMs: 50 });
    const restore = await until('the part is restored', async () => {
      const { body } = await served.json(`/api/v1/runs/${part}`);
      return body['status'] === 'succeeded' && body;
    });
    await worker.stop();
    expect(restore).toMatchObject({ applied: { claim: 4 }, part: units });
    expect(await served.json(path, post(units))).toMatchObject({
      status: 409,
      body: {
        code: 'NOTHING_REACHED',
        detail: `unit r1-org-1 of run ${run.slice(0, 8)} of claims is restored already: 4 rows`,
      },
    });
    const { rows } = await database.owner.query(
      `select evidence -> 'part' as part from portcullis_control.audit where action = 'restore' and evidence ? 'part' limit 1`,
    );
    expect(rows).toEqual([{ part: units }]);
  });

  test('a restore takes an operator of the region, and a worker carries it out', async () => {
    const elsewhere = await served.as('elsewhere', 'operator', ['r2']);
    expect(await elsewhere(`/api/v1/runs/${run}/restore`, { method: 'POST' })).toMatchObject({ status: 403 });
    expect((await served.json(`/api/v1/runs/${run}/restore`)).body).toMatchObject({ restorable: 16 });
    const order = post({ reason: 'claims of the wrong domains' });
    const begun = await served.json(`/api/v1/runs/${run}/restore`, order);
    expect(begun).toMatchObject({ status: 202, body: { runId: run, begun: true } });
    const again = await served.json(`/api/v1/runs/${run}/restore`, { method: 'POST' });
    expect(again).toMatchObject({ status: 202, body: { restore: begun.body['restore'], begun: false } });
    const worker = await startWorker(platform, [{ job, policy, regions: ['r1'] }], { sweepMs: 50 });
    const restore = await until('the restore is over', async () => {
      const { body } = await served.json(`/api/v1/runs/${String(begun.body['restore'])}`);
      return body['status'] === 'succeeded' && body;
    });
    await worker.stop();
    expect(restore).toMatchObject({ trigger: 'restore', restores: run, applied: { claim: 16 } });
    const { rows } = await database.owner.query(
      `select evidence ->> 'reason' as reason from portcullis_control.audit where action = 'restore' and not evidence ? 'part' order by seq limit 1`,
    );
    expect(rows).toEqual([{ reason: 'claims of the wrong domains' }]);
    const { body } = await served.json(`/api/v1/runs?restores=${run}`);
    expect((body['items'] as { runId: string }[]).map(({ runId }) => runId)).toEqual([
      begun.body['restore'],
      part,
    ]);
    expect((await served.json(`/api/v1/runs/${run}/restore`)).body).toMatchObject({
      ...{ alreadyRestored: 20, restorable: 0, conflicts: 0 },
    });
    expect(await served.json(`/api/v1/runs/${run}/restore`, { method: 'POST' })).toMatchObject({
      status: 409,
      body: {
        code: 'NOTHING_REACHED',
        detail: `run ${run.slice(0, 8)} of claims is restored already: 20 rows`,
      },
    });
  });

  test('a run that is still writing is not restored; one whose gate was killed is, whatever its row says', async () => {
    const under = await elect(platform.region, {
      ...{
        job: 'claims',
        version: job.version,
        region: 'r1',
        trigger: 'manual',
        worker: 'w',
        leaseMs: 20_000,
      },
    });
    if (!under.elected) throw new Error(under.why);
    const { id } = under.run;
    await database.owner.query(
      `update portcullis_region.run r set gate_epoch = g.epoch
       from portcullis_region.gate g where r.id = $1 and g.job = r.job and g.region = r.region`,
      [id],
    );
    await database.owner.query(
      'insert into portcullis_region.lane (run, lane, attempt, last_seq, applied_seq) values ($1, 0, 1, 5, 5)',
      [id],
    );
    const path = `/api/v1/runs/${id}/restore`;
    expect(await served.json(path, { method: 'POST' })).toMatchObject({ body: { code: 'RUN_ACTIVE' } });
    await killGate(database.owner, { job: 'claims', region: 'r1', reason: 'wrong', by: 'ann' });
    expect(await served.json(path, { method: 'POST' })).toMatchObject({ status: 202, body: { begun: true } });
  });
});
