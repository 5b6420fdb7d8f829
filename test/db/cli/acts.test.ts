import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { applyPolicies } from '../../../src/flags/policy-store.js';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { killGate } from '../../../src/containment/kill-gate.js';
import { openByHand } from '../../../src/incidents/open-by-hand.js';
import { executeRun } from '../../../src/worker/run-loop.js';
import { findRun } from '../../../src/runs/browse-runs.js';
import { elect } from '../../../src/runs/election.js';
import { accountsUsedIn, claimEverything, seedAccounts } from '../../support/accounts.js';
import { databaseCli } from '../../support/database-cli.js';
import { testDatabase } from '../../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../../support/platform.js';
import { temporaryFolder } from '../../support/portcullis.js';
import { person } from '../../support/people.js';

/** An act that reached nothing says so, and exits non-zero. */

const database = await testDatabase();
const { owner } = database;
const { run, issued } = await databaseCli(owner);
const operator = await issued({ name: 'ann', role: 'operator' });
const admin = await issued({ name: 'ada', role: 'admin' });

const NOTHING = { exit: 1, err: expect.stringContaining('NOTHING_REACHED') };

describe('a restore', () => {
  const platform = testPlatform(database);
  let job: Awaited<ReturnType<typeof loadTestJob>>;
  let bad = '';
  const carriedOut = async (): Promise<string> => {
    const election = await elect(platform.region, {
      ...{
        job: 'claims',
        version: job.version,
        region: 'r1',
        trigger: 'manual',
        worker: 'w',
        leaseMs: 20_000,
      },
    });
    if (!election.elected) throw new Error(election.why);
    const { signal } = new AbortController();
    await executeRun(platform, job, testPolicy('claims', ['r1']), election.run, 'planning', { signal });
    return election.run.id;
  };
  beforeAll(async () => {
    job = await loadTestJob(platform, accountsUsedIn(claimEverything('claims')));
    await seedAccounts(owner, 'r1', 5, 4);
    platform.flags.open('claims', 'r1', { version: job.version, permille: 1000 });
    bad = await carriedOut();
  });

  test('of what is restored already, or never changed anything, is one that reached nothing', async () => {
    const first = await run(operator, 'restore', bad);
    expect(first).toMatchObject({ exit: 0, out: expect.stringMatching(/restored +20/) });
    const second = await run(operator, 'restore', bad);
    expect(second).toMatchObject({ ...NOTHING, out: expect.stringMatching(/restored +0/) });
    expect(second.err).toContain(`no row of run ${bad.slice(0, 8)} was restored: 20 were restored before`);
    // To look is no act.
    expect((await run(operator, 'restore', bad, '--dry-run')).exit).toBe(0);
    await owner.query(`update directory.account set state = 'MANAGED'`);
    const idle = await carriedOut();
    await owner.query(`update directory.account set state = 'UNMANAGED'`);
    const of = (await findRun(owner, idle)).applied;
    expect(of).toEqual({});
    expect(await run(operator, 'restore', idle)).toMatchObject(NOTHING);
  });

  test('of an incident without changes says so', async () => {
    const by = person('ann', 'operator');
    const since = await findRun(owner, bad);
    const { id } = await openByHand(
      owner,
      () => owner,
      { job: 'claims', regions: ['r1'], run: since, title: 'customers call' },
      by.name,
    );
    await killGate(owner, { job: 'claims', region: 'r1', reason: 'x', by: 'ann' });
    await owner.query('update portcullis_control.incident_region set contained_at = clock_timestamp()');
    await owner.query(
      `update portcullis_control.incident set state = 'contained', contained_at = clock_timestamp()`,
    );
    await owner.query('delete from portcullis_region.batch');
    const restored = await run(operator, 'restore', id);
    expect(restored).toMatchObject(NOTHING);
    expect(restored.err).toContain(`no run of ${id} has changes that are not restored`);
  });
});

describe('the directory', () => {
  beforeEach(() =>
    owner.query('truncate directory.organisation, directory.account, directory.domain cascade'),
  );

  test('of files without rows is not imported', async () => {
    const folder = await temporaryFolder({ 'o.csv': 'id,name,home_region\n' });
    const imported = await run(admin, 'directory', 'import', '--organisations', join(folder, 'o.csv'));
    expect(imported).toMatchObject(NOTHING);
    expect(imported.err).toContain('the files have no rows; nothing was imported');
    const { rows } = await owner.query(
      `select 1 from portcullis_control.audit where action = 'import-directory'`,
    );
    expect(rows).toEqual([]);
  });

  test('that is empty, or has nothing in a region, is exported as files without rows, and that is told', async () => {
    const folder = await temporaryFolder();
    expect(await run(admin, 'directory', 'export', folder)).toMatchObject(NOTHING);
    expect(await readFile(join(folder, 'accounts.csv'), 'utf8')).toMatch(/^id,[^\n]*\n$/);
    const misspelt = await run(admin, 'directory', 'export', folder, '--region', 'eu-wst-1');
    expect(misspelt).toMatchObject(NOTHING);
    expect(misspelt.err).toContain('did you mean eu-west-1?');
    await owner.query(
      `insert into directory.organisation (id, name, home_region) values ('o-1', 'One', 'eu-west-1')`,
    );
    expect((await run(admin, 'directory', 'export', folder)).exit).toBe(0);
  });
});

describe('a version', () => {
  test('whose quarantine is to be lifted is named like any other', async () => {
    const policy = `job: sweep\nschedule: '*/15 * * * *'\nregions: [eu-west-1]\n`;
    await applyPolicies(owner, [parsePolicyFile(policy, 'sweep.yaml')], 'test');
    await owner.query(
      `insert into portcullis_region.quarantine (job, version, reason, set_by)
       values ('sweep', '1.0.0_0000abcd', 'faulty', 'ann'), ('sweep', '1.1.0_0000ef01', 'faulty', 'ann'),
              ('sweep', '1.1.0_0000ef02', 'faulty', 'ann')`,
    );
    const lift = (version: string) =>
      run(operator, 'rearm', 'sweep', '--version', version, '--reason', 'not at fault');
    for (const name of ['1.0.0', 'installed', '0000abcd', '1.0.0_0000', '1.0.0_0000abcd']) {
      expect((await lift(name)).out).toContain('Re-arm of sweep 1.0.0_0000abcd requested');
    }
    expect(await lift('1.1.0')).toMatchObject({ exit: 2, err: expect.stringContaining('VERSION_UNKNOWN') });
    expect(await lift('1.1')).toMatchObject({
      exit: 1,
      err: expect.stringMatching(/VERSION_NOT_QUARANTINED[^]*1\.0\.0_0000abcd, 1\.1\.0_0000ef01/),
    });
  });
});

test('a notification that is not there, a token that is revoked and an approval that is decided change nothing', async () => {
  for (const [args, code] of [
    [['notifications', 'retry', randomUUID()], 'NOTIFICATION_UNKNOWN'],
    [['tokens', 'revoke', 'nobody'], 'TOKEN_UNKNOWN'],
    [['approve', 'zzzzzzzz'], 'APPROVAL_UNKNOWN'],
    [['alerts', 'clear', '00c0ffee', '--reason', 'x'], 'ALERT_UNKNOWN'],
  ] as const) {
    const ran = await run(admin, ...args);
    expect([args, ran.exit === 0, ran.err]).toEqual([args, false, expect.stringContaining(code)]);
  }
});
