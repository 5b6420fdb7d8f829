import { describe, expect, test } from '@jest/globals';
import { announceVersions, workersAtWork } from '../../../src/rollout/announce.js';

import { applyPolicies } from '../../../src/flags/policy-store.js';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { writeTrip } from '../../../src/containment/trip-row.js';
import { openByHand } from '../../../src/incidents/open-by-hand.js';
import { databaseCli } from '../../support/database-cli.js';
import { testDatabase } from '../../support/database.js';

/** The command line of alerts and of databases, and what looks change: nothing. */

const { owner } = await testDatabase();
const { run, issued } = await databaseCli(owner);
const viewer = await issued({ name: 'eve', role: 'viewer' });
const operator = await issued({ name: 'ann', role: 'operator' });
const admin = await issued({ name: 'ada', role: 'admin' });
const bound = await issued({ name: 'bound', role: 'operator', regions: ['us-east-1'] });

async function alert(fingerprint: string, job: string, name: string, resolved = false): Promise<void> {
  await owner.query(
    `insert into portcullis_control.alert
       (fingerprint, starts_at, job, regions, name, labels, annotations, resolved_at)
     values ($1, clock_timestamp(), $2, '{eu-west-1}', $3, '{}', '{}', case when $4 then clock_timestamp() end)`,
    [fingerprint, job, name, resolved],
  );
}

describe('alerts', () => {
  test('are listed, by state and job, and none says so', async () => {
    expect(await run(viewer, 'alerts', 'list')).toMatchObject({
      exit: 0,
      out: 'No alerts\n',
      purpose: 'look',
    });
    await alert('00c0ffee', 'sweep', 'ClaimsSpike');
    await alert('0badcafe', 'other', 'LoginsFail', true);
    const { out } = await run(viewer, 'alerts', 'list');
    expect(out).toMatch(/^0badcafe .* LoginsFail +other +eu-west-1 +resolved +– +–$/m);
    expect(out).toMatch(/^00c0ffee .* ClaimsSpike +sweep +eu-west-1 +firing +\d{4}-/m);
    const ids = async (...args: string[]) =>
      (
        JSON.parse((await run(viewer, 'alerts', 'list', '--json', ...args)).out) as {
          alerts: { id: string }[];
        }
      ).alerts.map(({ id }) => id);
    expect(await ids('--state', 'firing')).toEqual(['00c0ffee']);
    expect(await ids('--job', 'other')).toEqual(['0badcafe']);
    expect(await ids('--limit', '1')).toEqual(['0badcafe']);
    expect((await run(viewer, 'alerts', 'list', '--state', 'loud')).exit).toBe(2);
    expect((await run(viewer, 'alerts', 'list', '--limit', '0')).exit).toBe(2);
  });

  test('are cleared once, by whoever may, with a reason', async () => {
    const clear = (as: typeof viewer, reason = 'the exporter was broken') =>
      run(as, 'alerts', 'clear', '00c0ffee', '--reason', reason);
    expect(await clear(viewer)).toMatchObject({ exit: 4, err: expect.stringContaining('FORBIDDEN') });
    expect(await clear(bound)).toMatchObject({ exit: 4, err: expect.stringContaining('FORBIDDEN') });
    expect((await clear(operator, ' ')).exit).toBe(2);
    expect(await clear(operator)).toMatchObject({ exit: 0, out: 'ClaimsSpike is cleared in 1 region\n' });
    expect(await clear(operator)).toMatchObject({
      exit: 1,
      err: expect.stringContaining('ALERT_NOT_FIRING'),
    });
    expect((await run(viewer, 'alerts', 'list', '--state', 'cleared')).out).toMatch(/cleared +– +ann$/m);
    const { out } = await run(admin, 'audit', 'list', '--action', 'clear-alert');
    expect(out).toContain('the exporter was broken');
  });
});

async function failOver(): Promise<void> {
  await owner.query('delete from portcullis_region.confirmed_database');
  await owner.query(
    `insert into portcullis_region.confirmed_database (identity, confirmed_by, reason)
     values (split_part(portcullis_region.database_identity(), '/', 1) || '/0', 'test', 'the old primary')`,
  );
}

describe('databases', () => {
  const confirm = (as: typeof viewer, ...args: string[]) =>
    run(as, 'database', 'confirm', '--reason', 'promoted db2', ...args);

  test('are shown, by a look, with whether a person has confirmed them', async () => {
    const shown = await run(viewer, 'database', 'show');
    expect(shown).toMatchObject({
      exit: 0,
      purpose: 'look',
      out: expect.stringMatching(/^control +\d+\/1 +confirmed /m),
    });
    await failOver();
    expect((await run(viewer, 'database', 'show')).out).toMatch(
      /^control +\d+\/1 +unconfirmed: nothing is written +\d+\/0/m,
    );
    const { out } = await run(viewer, 'database', 'show', '--json');
    expect(JSON.parse(out)).toMatchObject({
      databases: [{ database: 'control', confirmed: false, unrecordedKills: 0, unrecordedTrips: 0 }],
      unreachable: [],
    });
  });

  test('that is another one than before is in status, and confirmed once, with a reason', async () => {
    expect((await run(viewer, 'status')).out.replaceAll('\n', ' ')).toMatch(
      /Database control is another one than before \(\d+\/1, before \d+\/0\): nothing is written to it/,
    );
    expect(await confirm(viewer)).toMatchObject({ exit: 4, err: expect.stringContaining('FORBIDDEN') });
    expect(await confirm(admin, '--switchover')).toMatchObject({
      exit: 3,
      err: expect.stringContaining('DATABASE_UNCONFIRMED'),
    });
    expect(await confirm(admin)).toMatchObject({
      exit: 0,
      out: expect.stringMatching(/^database \d+\/1 is confirmed; before it was \d+\/0\n/),
    });
    expect(await confirm(admin)).toMatchObject({
      exit: 1,
      err: expect.stringContaining('DATABASE_CONFIRMED'),
    });
    expect((await run(viewer, 'status')).out).not.toContain('another one');
    expect((await run(admin, 'audit', 'list', '--action', 'confirm-database')).out).toContain('promoted db2');
  });

  test('for a switchover are confirmed beforehand', async () => {
    const { exit, out } = await confirm(admin, '--switchover');
    expect([exit, out]).toEqual([
      0,
      expect.stringMatching(/^database \d+\/2 is confirmed beforehand, until \d{4}-/),
    ]);
    expect((await run(admin, 'database', 'confirm')).exit).toBe(2);
  });
});

test('kills and trips that wait to be recorded are in status, audit verify and database show', async () => {
  await applyPolicies(
    owner,
    [parsePolicyFile(`job: sweep\nschedule: '*/15 * * * *'\nregions: [eu-west-1]\n`, 'sweep.yaml')],
    'test',
  );
  expect((await run(admin, 'audit', 'verify')).out).not.toContain('waiting');
  await owner.query(
    `insert into portcullis_region.unrecorded_kill
       (id, job, region, restores_too, drill, reason, killed_by, epoch, in_flight)
     values (gen_random_uuid(), 'sweep', 'r1', false, false, 'gone', 'ann', 7, 2)`,
  );
  const trip = await writeTrip(owner, {
    ...{ job: 'sweep', region: 'r1', version: null, run: null, stage: 'bake', restore: 'never' },
    closing: { close: 'region', why: 'x' },
    failed: [{ rule: 'r', reason: 'r: x', figures: {}, evidence: [] }],
  });
  const waits = '1 kill and 1 trip hold and are not in the audit log yet';
  expect((await run(admin, 'audit', 'verify')).out).toContain(`waiting  ${waits}`);
  expect(JSON.parse((await run(admin, 'audit', 'verify', '--json')).out)).toMatchObject({
    waiting: { kills: 1, trips: 1 },
  });
  expect((await run(viewer, 'status')).out.replaceAll('\n', ' ')).toContain(`Database control: ${waits}`);
  expect(JSON.parse((await run(viewer, 'status', '--json')).out)).toMatchObject({
    databases: [{ unrecordedKills: 1, unrecordedTrips: 1 }],
  });
  await owner.query('update portcullis_region.trip set settled_at = clock_timestamp() where id = $1', [
    trip.id,
  ]);
  expect((await run(admin, 'audit', 'verify')).out).toContain('1 kill holds and is not in the audit log yet');
});

test('an incident is shown by a look that writes nothing, with the severity of what it shows', async () => {
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, admitted_units, planned_at)
     values ('5eed0000-0000-4000-8000-000000000000', 'sweep', '1.0.0_a', 'eu-west-1', now(), 'manual', 'succeeded',
             'applied', 'all applied', 'w', now(), 5, now())`,
  );
  const { id } = await openByHand(
    owner,
    () => owner,
    { job: 'sweep', regions: ['eu-west-1'], title: 'customers call' },
    'ann',
  );
  await owner.query(
    `update portcullis_control.incident_region set damaged = true, since = now() - interval '1 hour'`,
  );
  const stored = async () =>
    (await owner.query<Record<string, unknown>>('select * from portcullis_control.incident')).rows;
  const before = await stored();
  expect(before).toMatchObject([{ severity: null }]);
  const shown = await run(viewer, 'incident', 'show', id, '--json');
  expect([shown.exit, shown.purpose]).toEqual([0, 'look']);
  expect(JSON.parse(shown.out)).toMatchObject({ id, severity: 'averted' });
  expect(await stored()).toEqual(before);
});

test('the workers at work are those that announced themselves of late, with their regions', async () => {
  const announced = { job: 'sweep', version: '1.0.0_a', regions: ['r1', 'r2'] };
  await announceVersions(owner, 'w1', [announced, { ...announced, version: '1.1.0_b', regions: ['r3'] }]);
  await announceVersions(owner, 'w2', [announced]);
  expect(await workersAtWork(owner)).toEqual([
    { worker: 'w1', regions: ['r1', 'r2', 'r3'] },
    { worker: 'w2', regions: ['r1', 'r2'] },
  ]);
  await owner.query(
    `update portcullis_control.worker_version set last_seen_at = now() - interval '1 minute' where worker = 'w1'`,
  );
  expect((await workersAtWork(owner)).map(({ worker }) => worker)).toEqual(['w2']);
});
