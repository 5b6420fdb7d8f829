import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { KnownCallers } from '../../src/server/known-callers.js';
import { recordLateKills } from '../../src/containment/kill-incident.js';
import { testDatabase } from '../support/database.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { tokenOf } from '../support/people.js';
import { databasesAt, poster, serving, type JsonCall } from './serving.js';

/** Kills over HTTP while the control database accepts connections and does not answer; the regions have one of their own. */

const { owner: region } = await testDatabase();
const { url, ...database } = await testDatabase();
const at = new URL(url);
const proxy = new TcpProxy(at.hostname, Number(at.port));
await proxy.open();
const control = database.pool(proxy.through(url));
const REGIONS = ['eu-west-1', 'us-east-1'];
const JOB = { name: 'sweep', version: '1.1.0_0000000b', schedule: null, regions: REGIONS, kinds: [] };
const served = await serving(control, { regionDatabases: databasesAt(region), jobs: () => [JOB] });
// Whatever waits on a connection that is silent is told that it is gone.
afterAll(() => proxy.cut());

async function callerOf(name: string, role: 'operator' | 'viewer'): Promise<JsonCall> {
  const call = await served.as(name, role);
  expect((await call('/api/v1/jobs')).status).toBe(200);
  return call;
}
const callers = { ann: await callerOf('ann', 'operator'), eve: await callerOf('eve', 'viewer') };
const ann = poster(callers.ann);
const { token: unseen } = await tokenOf(control, { name: 'new', role: 'operator' });

async function gates(job: string) {
  const { rows } = await region.query<{ region: string; state: string; reason: string; by: string }>(
    'select region, state, reason, killed_by as by from portcullis_region.gate where job = $1 order by region',
    [job],
  );
  return rows;
}

beforeEach(() => {
  proxy.stall({ newToo: true });
});

const REASON = 'break-glass, without the control database: wrong rows';
const KILLED = { state: 'killed', reason: REASON, by: 'ann' };

describe('while the control database does not answer', () => {
  test('a kill by whoever was verified here of late holds, says that it is not on record, and heeds no key', async () => {
    const body = JSON.stringify({ reason: 'wrong rows' });
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'k' };
    const killed = await callers.ann('/api/v1/jobs/sweep/kill', { method: 'POST', headers, body });
    expect([killed.status, killed.body]).toMatchObject([
      200,
      {
        killed: REGIONS.map((each) => ({ region: each })),
        ...{ failed: [], incident: null, unrecorded: 'the control database does not answer' },
      },
    ]);
    expect(await gates('sweep')).toEqual(REGIONS.map((each) => ({ region: each, ...KILLED })));
  });

  test('a version is quarantined', async () => {
    const killed = await ann('jobs/sweep/kill', { version: '1.1.0', reason: 'wrong rows' });
    expect(killed.status).toBe(200);
    const { rows } = await region.query('select distinct version, reason from portcullis_region.quarantine');
    expect(rows).toEqual([{ version: JOB.version, reason: REASON }]);
  });

  test('a stop reaches the jobs of policies, and those that have a gate in a region database', async () => {
    await region.query(`insert into portcullis_region.gate (job, region) values ('other', 'eu-west-1')`);
    const { status, body } = await ann('stop', { reason: 'wrong rows' });
    expect([status, body['jobs']]).toMatchObject([200, [{ job: 'sweep' }, { job: 'other' }]]);
    expect(await gates('other')).toEqual([{ region: 'eu-west-1', ...KILLED }]);
  });

  test('a job or region that nobody knows is named, and who may not kill is refused', async () => {
    expect((await ann('jobs/swep/kill', { reason: 'x' })).body['code']).toBe('JOB_UNKNOWN');
    expect((await ann('jobs/sweep/kill', { region: 'eu', reason: 'x' })).body['code']).toBe('REGION_UNKNOWN');
    expect((await poster(callers.eve)('jobs/sweep/kill', { reason: 'x' })).body['code']).toBe('FORBIDDEN');
  });

  test('a token that this process has not verified is told where to kill', async () => {
    const { status, body } = await served.json('/api/v1/stop', {
      method: 'POST',
      headers: { authorization: `Bearer ${unseen}`, 'content-type': 'application/json' },
      body: JSON.stringify({ reason: 'x' }),
    });
    expect([status, body['code'], body['hint']]).toEqual([
      503,
      'DATABASE_UNREACHABLE',
      expect.stringContaining('portcullis kill'),
    ]);
  });
});

test('a caller who is remembered can stop, and nothing else', async () => {
  await proxy.cut();
  const set = await ann('flags/sweep/eu-west-1', { enabled: false, reason: 'x' });
  expect([set.status, set.body['code']]).toEqual([503, 'DATABASE_UNREACHABLE']);
  expect((await ann('jobs/sweep/kill', { region: 'eu-west-1', reason: 'x' })).status).toBe(200);
});

test('such kills come on record, with their incident, once the control database answers', async () => {
  await proxy.cut();
  await region.query('delete from portcullis_region.unrecorded_kill');
  await ann('jobs/sweep/kill', { region: 'eu-west-1', reason: 'wrong rows' });
  await proxy.open();
  // As if it had waited for longer than a process takes that can record it itself.
  await region.query(`update portcullis_region.unrecorded_kill set at = at - interval '1 minute'`);
  expect(await recordLateKills(database.owner, region)).toMatchObject([{ job: 'sweep', by: 'ann' }]);
  const { rows } = await database.owner.query(
    `select principal, subject, evidence->>'reason' as reason from portcullis_control.audit where action = 'kill'`,
  );
  expect(rows).toEqual([{ principal: 'ann', subject: 'sweep.eu-west-1', reason: REASON }]);
  const incidents = await database.owner.query('select job from portcullis_control.incident');
  expect(incidents.rows).toEqual([{ job: 'sweep' }]);
});

describe('callers who are remembered', () => {
  const holder = { id: 'a', name: 'ann', role: 'operator', regions: null } as const;

  const DAY_MS = 24 * 60 * 60 * 1000;

  test('are those of the last 24 hours to stop, and of the last 8 to read, that were not refused since', () => {
    let now = 0;
    const known = new KnownCallers(() => now);
    known.note('token', holder);
    expect([known.find('token', 'read'), known.find('other', 'stop')]).toEqual([
      { ...holder, remembered: true },
      undefined,
    ]);
    now = DAY_MS / 3 + 1;
    expect([known.find('token', 'read'), known.find('token', 'stop')?.name]).toEqual([undefined, 'ann']);
    now = DAY_MS + 1;
    expect(known.find('token', 'stop')).toBeUndefined();
    known.note('token', holder);
    known.forget('token');
    expect(known.find('token', 'stop')).toBeUndefined();
  });

  test('are signed in for no longer than their session would have lasted', () => {
    let now = 0;
    const known = new KnownCallers(() => now);
    const session = {
      ...{ id: 's', expiresAt: '2026-03-01T00:00:00.000Z', leftMs: 60_000 },
      ...{ byProvider: true, groupsDue: false },
    };
    known.note('cookie', { ...holder, session });
    now = 60_000;
    expect([known.find('cookie', 'read')?.name, known.find('cookie', 'stop')?.name]).toEqual(['ann', 'ann']);
    now = 60_001;
    expect([known.find('cookie', 'read'), known.find('cookie', 'stop')]).toEqual([undefined, undefined]);
  });

  test('are a thousand at most, and those verified longest ago go first', () => {
    const known = new KnownCallers();
    for (let n = 0; n < 1_000; n += 1) known.note(`token ${n}`, holder);
    known.note('token 0', holder);
    known.note('one more', holder);
    const names = ['token 0', 'token 1', 'one more'].map((token) => known.find(token, 'stop')?.name);
    expect(names).toEqual(['ann', undefined, 'ann']);
  });
});
