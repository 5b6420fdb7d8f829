import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { announceVersions } from '../../src/rollout/announce.js';
import { startWorker, type Worker } from '../../src/worker/worker.js';
import { claimEverything, seedAccounts } from '../support/accounts.js';
import { databaseCli } from '../support/database-cli.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';
import { until } from '../support/until.js';
import { FakeTerminal } from '../unit/cli/fake-terminal.js';
import { runAt } from './remote.js';
import { serving } from './serving.js';

/** Runs and restores through a server, which a worker of the region carries out. */

const database = await testDatabase();
const { owner } = database;
const platform = testPlatform(database);
const job = await loadTestJob(platform, claimEverything('claims'));
const file = parsePolicyFile(`job: claims\nschedule: '0 0 1 1 *'\nregions: [r1]\n`, 'claims.yaml');
await applyPolicies(owner, [file], 'test');
await seedAccounts(owner, 'r1', 5, 4);
const served = await serving(owner, {
  installed: () => [job],
  jobs: () => [{ name: 'claims', version: job.version, schedule: null, regions: ['r1'], kinds: ['claim'] }],
});
const { run: runHere } = await databaseCli(owner);
const { token } = served;
const remote = (...args: string[]) => runAt({ serverUrl: served.url, token }, args);

type Json = Record<string, unknown>;
const parsed = ({ out }: { out: string }): Json => JSON.parse(out) as Json;

let worker: Worker | undefined;

beforeAll(async () => {
  const open = { job, policy: testPolicy('claims', ['r1']), regions: ['r1'] };
  platform.flags.open('claims', 'r1', { version: job.version, permille: 1000 });
  worker = await startWorker(platform, [open], { sweepMs: 50 });
});
afterAll(async () => {
  await worker?.stop();
  await platform.planner.close();
});
// One that has been silent for 20 s serves nothing.
beforeEach(() => announceVersions(owner, 'w', [{ job: 'claims', version: job.version, regions: ['r1'] }]));

async function ran(): Promise<string> {
  const { exit, out } = await remote('run', 'claims', '--region', 'r1', '--json');
  expect([exit, parsed({ out })]).toMatchObject([0, { status: 'succeeded', applied: { claim: 20 } }]);
  return String(parsed({ out })['runId']);
}

describe('a run', () => {
  test('that writes nothing shows what it would change, as here', async () => {
    const dry = await remote('run', 'claims', '--region', 'r1', '--dry-run');
    expect(dry).toMatchObject({ exit: 0, out: expect.stringContaining('the first 10 of 20 changes') });
    expect(dry.out).toMatch(/^status +planned$/m);
  });

  test('is followed to its end, and can be restored: looked at first, as here, and then followed too', async () => {
    const run = await ran();
    const { body } = await served.json(`/api/v1/runs/${run}`);
    expect(body).toMatchObject({ worker: platform.worker, trigger: 'manual', status: 'succeeded' });
    const look = ['restore', run, '--dry-run', '--json'];
    const [there, here] = [await remote(...look), await runHere({ token }, ...look)];
    expect([there.exit, there.out]).toEqual([here.exit, here.out]);
    expect(parsed(there)).toMatchObject({ dryRun: true, runs: [{ left: { restorable: 20 } }] });

    const one = ['restore', run, '--unit', 'r1-org-1', '--unit', 'r1-org-2', '--key', 'account:r1-acc-1-0'];
    const dry = [...one, '--dry-run', '--json'];
    expect((await remote(...dry)).out).toBe((await runHere({ token }, ...dry)).out);
    expect(parsed(await remote(...dry))).toMatchObject({ runs: [{ left: { applied: 1, restorable: 1 } }] });
    const part = await remote(...one, '--json');
    expect([part.exit, parsed(part)]).toMatchObject([0, { runs: [{ restored: 1, left: { applied: 1 } }] }]);
    expect((await remote(...one)).exit).toBe(1);
    const twice = await runHere({ token }, ...one);
    expect([twice.exit, twice.err]).toEqual([1, expect.stringContaining('1 were restored before')]);
    expect((await remote('restore', run, '--key', 'r1-acc-1-0')).exit).toBe(2);

    await owner.query(`update directory.account set organisation_id = 'r1-org-1' where id = 'r1-acc-0-0'`);
    const restored = await remote('restore', run.slice(0, 8), '--json');
    expect([restored.exit, parsed(restored)]).toMatchObject([
      0,
      { runs: [{ run, status: 'succeeded', restored: 18, left: { conflicts: 1, restorable: 0 } }] },
    ]);
    const csv = ['restore', run, '--dry-run', '--conflicts', 'csv'];
    expect((await remote(...csv)).out).toBe((await runHere({ token }, ...csv)).out);
    const again = await remote('restore', run);
    expect([again.exit, again.err]).toEqual([1, expect.stringContaining('NOTHING_REACHED')]);
    await owner.query(`update directory.account set organisation_id = null, state = 'UNMANAGED'`);
  });

  test('that finds its gate closed is held', async () => {
    platform.flags.close('claims', 'r1');
    try {
      worker?.flagsChanged();
      const { exit, out } = await remote('run', 'claims', '--region', 'r1', '--json');
      expect([exit, parsed({ out })['status']]).toEqual([3, 'held']);
    } finally {
      platform.flags.open('claims', 'r1', { version: job.version, permille: 1000 });
      worker?.flagsChanged();
    }
  });

  test('of a job or region that there is not is refused', async () => {
    expect((await remote('run', 'claim', '--region', 'r1')).exit).toBe(2);
    expect((await remote('run', 'claims', '--region', 'r2')).err).toContain('REGION_UNKNOWN');
    expect((await remote('run', 'claims')).exit).toBe(2);
    await owner.query('delete from portcullis_control.worker_version');
    expect((await remote('run', 'claims', '--region', 'r1')).err).toContain('WORKER_MISSING');
  });
});

test('an incident is restored with all its runs, and follows them', async () => {
  await until('the gate is open again', async () => {
    const { body } = await served.json('/api/v1/gates?job=claims');
    return (body['items'] as Json[])[0]?.['permits'] === true;
  });
  const run = await ran();
  const opened = await remote('incident', 'open', 'claims', '--run', run, '--title', 'wrong', '--json');
  const incident = String(parsed(opened)['id']);
  expect((await remote('kill', 'claims', '--reason', 'wrong')).exit).toBe(0);
  const restored = await remote('restore', incident, '--json');
  expect([restored.exit, parsed(restored)]).toMatchObject([
    0,
    { runs: [{ run, status: 'succeeded', restored: 20 }] },
  ]);
  const { body } = await served.json(`/api/v1/incidents/${incident}`);
  expect(body).toMatchObject({ runs: [{ id: run, restore: { status: 'succeeded', restored: 20 } }] });
});

test('whoever stops following is told where the run goes on', async () => {
  await worker?.stop();
  await announceVersions(owner, 'w', [{ job: 'claims', version: job.version, regions: ['r1'] }]);
  const io = new FakeTerminal();
  const running = runAt(
    { serverUrl: served.url, token },
    ['run', 'claims', '--region', 'r1', '--json'],
    [],
    io,
  );
  await until('the run is begun', async () => {
    const { rowCount } = await owner.query(`select from portcullis_region.run where status = 'planning'`);
    return rowCount === 1 && io.listening;
  });
  io.interrupt();
  const { exit, out } = await running;
  expect([exit, parsed({ out })]).toMatchObject([
    3,
    { status: 'planning', reason: expect.stringContaining('portcullis run show') as unknown },
  ]);
});
