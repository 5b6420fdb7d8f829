import { beforeEach, describe, expect, test } from '@jest/globals';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { MOST_ALERTS } from '../../src/guard/bake/alerts.js';
import { firingAlerts } from '../../src/guard/bake/browse-alerts.js';
import type { BakeFailure } from '../../src/containment/drop-gate.js';
import { testDatabase } from '../support/database.js';
import { post, poster, serving } from './serving.js';

const { owner } = await testDatabase();
const policy = (alerts: string) => `
job: domain-claim
schedule: '*/15 * * * *'
regions: [ap-south-1, eu-west-1]
guard:
  rules:
    - { kind: alert, name: pager${alerts} }
`;
const apply = (alerts = ''): Promise<unknown> =>
  applyPolicies(owner, [parsePolicyFile(policy(alerts), 'domain-claim.yaml')], 'test');
await apply();

const dropped: BakeFailure[] = [];
let broken: string | undefined;
const served = await serving(owner, {
  dropGate: (failure) => {
    if (failure.region === broken) return Promise.reject(new Error('connect ECONNREFUSED'));
    dropped.push(failure);
    return Promise.resolve(failure.closing);
  },
});

const PLACE = { portcullis_job: 'domain-claim', portcullis_region: 'eu-west-1' };
const alert = (changes: Record<string, unknown> = {}, labels: Record<string, string> = PLACE) => ({
  ...{ status: 'firing', fingerprint: '00c0ffee00c0ffee', startsAt: '2026-03-01T09:30:00.123456789Z' },
  ...{ endsAt: '0001-01-01T00:00:00Z', generatorURL: 'http://prometheus:9090/graph' },
  labels: { alertname: 'ClaimsSpike', severity: 'page', ...labels },
  annotations: { summary: '4812 claims in 5 minutes' },
  ...changes,
});
const hook = (...alerts: unknown[]) =>
  served.json(
    '/api/v1/hooks/alertmanager',
    post({ version: '4', groupKey: '{}', truncatedAlerts: 0, alerts }),
  );
const fates = (body: Record<string, unknown>): unknown[] =>
  (((body['details'] as Record<string, unknown> | undefined) ?? body)['alerts'] as { fate: string }[]).map(
    ({ fate }) => fate,
  );

beforeEach(async () => {
  dropped.length = 0;
  broken = undefined;
  await owner.query('delete from portcullis_control.alert');
});

describe('a firing alert', () => {
  test('drops the gate that its labels name, with what it says as the reason', async () => {
    const { status, body } = await hook(alert());
    expect([status, fates(body)]).toEqual([200, ['killed']]);
    expect(dropped).toEqual([
      {
        ...{ job: 'domain-claim', region: 'eu-west-1', version: null, restore: 'propose' },
        closing: { close: 'region', why: 'no version is named' },
        event: 'alert 00c0ffee00c0ffee of 2026-03-01 09:30:00.123457+00',
        failed: [
          {
            ...{
              verdict: 'fail',
              rule: 'pager',
              reason: 'pager: ClaimsSpike fires: 4812 claims in 5 minutes',
            },
            figures: { alert: 'ClaimsSpike', startsAt: '2026-03-01T09:30:00.123456789Z' },
          },
        ],
      },
    ]);
  });

  test('without a region drops all of them; with a version blames it', async () => {
    await hook(alert({}, { portcullis_job: 'domain-claim', portcullis_version: '1.0.0+a' }));
    expect(dropped).toMatchObject(
      ['ap-south-1', 'eu-west-1'].map((region) => ({ region, version: '1.0.0_a' })),
    );
  });

  test('that is repeated kills once; the next time that it fires, again', async () => {
    await hook(alert());
    expect(fates((await hook(alert(), alert())).body)).toEqual(['known', 'known']);
    expect(dropped).toHaveLength(1);
    expect(fates((await hook(alert({ startsAt: '2026-03-01T11:00:00Z' }))).body)).toEqual(['killed']);
    expect(dropped).toHaveLength(2);
  });

  test('whose gate could not be dropped asks to be sent again, and is done then', async () => {
    broken = 'eu-west-1';
    const { status, body } = await hook(alert());
    expect([status, body]).toMatchObject([
      503,
      { code: 'ALERT_UNHANDLED', detail: 'ClaimsSpike: eu-west-1: connect ECONNREFUSED' },
    ]);
    broken = undefined;
    expect(fates((await hook(alert())).body)).toEqual(['killed']);
    expect(dropped).toHaveLength(1);
  });

  test('that no rule of the policy names is ignored, and says so', async () => {
    await apply(', alerts: [LoginsFail]');
    try {
      expect((await hook(alert())).body['alerts']).toMatchObject([
        { fate: 'ignored', reason: "no alert rule of domain-claim's policy names it" },
      ]);
      expect(fates((await hook(alert({}, { ...PLACE, alertname: 'LoginsFail' }))).body)).toEqual(['killed']);
      expect(dropped).toHaveLength(1);
    } finally {
      await apply();
    }
  });
});

describe('an alert for a job whose policy is malformed', () => {
  test('kills where the job has flags, and says what is wrong', async () => {
    await owner.query(
      `update portcullis_control.policy set policy = '{"job": "domain-claim", "regions": 7}'`,
    );
    try {
      const { status, body } = await hook(
        alert(),
        alert({ fingerprint: 'all' }, { portcullis_job: 'domain-claim' }),
      );
      expect([status, fates(body)]).toEqual([200, ['killed', 'killed']]);
      expect(body['alerts']).toMatchObject([
        {
          reason: expect.stringMatching(
            /^domain-claim in eu-west-1; the stored policy of domain-claim is malformed: .*, so each alert that names it kills$/,
          ),
        },
        { reason: expect.stringMatching(/^domain-claim in ap-south-1, eu-west-1; the stored policy/) },
      ]);
      expect(dropped).toMatchObject([
        { region: 'eu-west-1', restore: 'propose', failed: [{ rule: 'alert' }] },
        { region: 'ap-south-1' },
        { region: 'eu-west-1' },
      ]);
      const elsewhere = await hook(alert({}, { ...PLACE, portcullis_region: 'eu-wst-1' }));
      expect(JSON.stringify(elsewhere.body)).toContain('did you mean eu-west-1?');
    } finally {
      await apply();
    }
  });
});

describe('a batch', () => {
  test('with an alert of an unknown job or region names it, and has the others done', async () => {
    const { status, body } = await hook(
      alert({ fingerprint: 'a' }, { ...PLACE, portcullis_job: 'domain-clam' }),
      alert({ fingerprint: 'b' }),
      alert({ fingerprint: 'c' }, { ...PLACE, portcullis_region: 'eu-wset-1' }),
      alert({ fingerprint: 'd' }, {}),
    );
    expect([status, body['code'], fates(body)]).toEqual([
      422,
      'ALERT_REFUSED',
      ['refused', 'killed', 'refused', 'refused'],
    ]);
    expect(String(body['detail']).split('\n')).toEqual([
      'ClaimsSpike: there is no job domain-clam; did you mean domain-claim?',
      'ClaimsSpike: there is no region eu-wset-1; did you mean eu-west-1?',
      'ClaimsSpike: it has no label portcullis_job',
    ]);
    expect(dropped).toHaveLength(1);
  });

  test('of what cannot be understood has the others done, and people told', async () => {
    await owner.query('delete from portcullis_control.notice');
    const { status, body } = await hook(
      { status: 'firing' },
      'nonsense',
      null,
      alert({ fingerprint: 'late', startsAt: 'yesterday', annotations: null }),
    );
    expect([status, body['code'], fates(body)]).toEqual([
      422,
      'ALERT_REFUSED',
      ['refused', 'refused', 'refused', 'killed'],
    ]);
    expect(await notices()).toEqual([
      {
        title: '3 alerts killed nothing, or not all that they name',
        lines: ['an alert: it is no alert: it has no labels'],
      },
    ]);
  });

  test('of another version of the webhook is taken as far as it can be understood', async () => {
    const { status, body } = await served.json(
      '/api/v1/hooks/alertmanager',
      post({ version: '5', alerts: [alert()] }),
    );
    expect([status, fates(body)]).toEqual([200, ['killed']]);
  });

  test('without alerts is refused, and people are told', async () => {
    await owner.query('delete from portcullis_control.notice');
    for (const body of [{ version: '4' }, { alerts: [] }, '{"alerts": [', '[]']) {
      const answer = await served.json('/api/v1/hooks/alertmanager', post(body));
      expect([answer.status, answer.body['code']]).toEqual([400, 'REQUEST_INVALID']);
    }
    expect((await notices()).map(({ title }) => title)).toEqual([
      'A call of Alertmanager could not be read; it killed nothing',
    ]);
  });

  test('of thousands of alerts is taken; over 5 MiB it is refused, and people are told', async () => {
    await owner.query('delete from portcullis_control.notice');
    const annotations = { summary: 'x'.repeat(1_100) };
    const many = Array.from({ length: 400 }, (_, n) => alert({ fingerprint: `f${n}`, annotations }));
    expect((await hook(...many)).status).toBe(200);
    expect(dropped).toHaveLength(400);
    const huge = await hook(alert({ annotations: { summary: 'x'.repeat(6 * 1024 * 1024) } }));
    expect([huge.status, huge.body['code'], huge.body['detail']]).toEqual([
      413,
      'BODY_TOO_LARGE',
      'the request body is over 5120 KiB',
    ]);
    expect(await notices()).toHaveLength(1);
  });

  test('beyond the alerts that one call may bring has the first done and names the others', async () => {
    const many = Array.from({ length: MOST_ALERTS + 1 }, (_, n) => (n === 0 ? alert() : 0));
    const { status, body } = await hook(...many);
    expect(status).toBe(422);
    expect(fates(body)[0]).toBe('killed');
    expect((body['details'] as { alerts: unknown[] }).alerts.at(-1)).toMatchObject({
      reason: 'it is beyond the 5000 alerts that one call may bring: lower max_alerts',
    });
  });

  test('that Alertmanager has shortened says how many it left out, and people are told', async () => {
    await owner.query('delete from portcullis_control.notice');
    const batch = { version: '4', truncatedAlerts: 7, alerts: [alert()] };
    const { status, body } = await served.json('/api/v1/hooks/alertmanager', post(batch));
    expect([status, body['truncatedAlerts'], fates(body)]).toEqual([200, 7, ['killed']]);
    expect((await notices())[0]?.lines).toEqual([
      'Alertmanager left out 7 alerts: raise max_alerts in its webhook_configs',
    ]);
  });

  test('whose texts PostgreSQL cannot hold, or that are too long, kills all the same', async () => {
    // The siren is the 500th and 501st code unit of the summary.
    const summary = `${'a'.repeat(499)}🚨 call the on-call`;
    const odd = { 'nul\0': '\0', half: '\ud83d', long: 'y'.repeat(10_001) };
    const { status, body } = await hook(
      alert({ fingerprint: 'siren', annotations: { summary } }),
      alert({ fingerprint: 'nul\0', annotations: odd }, { ...PLACE, ...odd, portcullis_version: '\0' }),
      alert({ fingerprint: 'f'.repeat(1_000) }),
      alert({ fingerprint: undefined, startsAt: '2026-03-01T12:00:00Z' }),
    );
    expect([status, fates(body)]).toEqual([200, ['killed', 'killed', 'killed', 'killed']]);
    expect(dropped[0]?.failed[0].reason).toBe(`pager: ClaimsSpike fires: ${'a'.repeat(499)}…`);
    expect(JSON.stringify(dropped)).not.toMatch(/\\u0000|\\ud83d/);
  });
});

async function notices(): Promise<{ title: string; lines: string[] }[]> {
  const { rows } = await owner.query<{ title: string; lines: string[] }>(
    'select title, lines from portcullis_control.notice order by at',
  );
  return rows;
}

describe('a resolution that overtakes its alert', () => {
  test('is remembered: the alert kills, and does not go on firing', async () => {
    const resolved = { status: 'resolved', endsAt: '2026-03-01T10:00:00Z' };
    expect(fates((await hook(alert(resolved))).body)).toEqual(['resolved']);
    expect(fates((await hook(alert())).body)).toEqual(['killed']);
    // As its twin saw it: a little later, and before the end.
    expect(fates((await hook(alert({ startsAt: '2026-03-01T09:31:00Z' }))).body)).toEqual(['killed']);
    expect(await firingAlerts(owner, 'domain-claim', 'eu-west-1')).toEqual([]);
    expect(fates((await hook(alert())).body)).toEqual(['known']);
    expect(await firingAlerts(owner, 'domain-claim', 'eu-west-1')).toEqual([]);
    await hook(alert({ startsAt: '2026-03-01T11:00:00Z' }));
    expect(await firingAlerts(owner, 'domain-claim', 'eu-west-1')).toEqual([{ name: 'ClaimsSpike' }]);
  });
});

describe('an alert that fires again before its end was told', () => {
  test('is over with its last firing: Alertmanager names no other one then', async () => {
    const again = { startsAt: '2026-03-01T09:31:00Z' };
    await hook(alert());
    await hook(alert(again));
    await hook(alert({ ...again, status: 'resolved', endsAt: '2026-03-01T10:00:00Z' }));
    expect(await firingAlerts(owner, 'domain-claim', 'eu-west-1')).toEqual([]);
    // A firing from after that end is none of those.
    await hook(alert({ startsAt: '2026-03-01T11:00:00Z' }));
    await hook(alert({ ...again, status: 'resolved', endsAt: '2026-03-01T10:00:00Z' }));
    expect(await firingAlerts(owner, 'domain-claim', 'eu-west-1')).toEqual([{ name: 'ClaimsSpike' }]);
  });

  test('is over where only its beginning is known', async () => {
    await hook(alert());
    await hook(alert({ startsAt: '2026-03-01T09:31:00Z', status: 'resolved', endsAt: 'soon' }));
    expect(await firingAlerts(owner, 'domain-claim', 'eu-west-1')).toEqual([]);
  });
});

describe('what fires', () => {
  const list = async (query = '') =>
    (await served.json(`/api/v1/alerts${query}`)).body['items'] as { id: string; state: string }[];
  const clear = (id: string, body: unknown = { reason: 'the exporter was broken' }) =>
    served.json(`/api/v1/alerts/${id}/clear`, post(body));
  const ID = '00c0ffee00c0ffee';

  test('can be listed, and cleared once; that re-arms nothing and is on the record', async () => {
    await hook(alert());
    expect(await list('?state=firing&job=domain-claim&region=eu-west-1')).toMatchObject([
      { id: ID, name: 'ClaimsSpike', job: 'domain-claim', regions: ['eu-west-1'], state: 'firing' },
    ]);
    expect(await list('?state=firing&region=ap-south-1')).toEqual([]);
    expect((await clear(ID, {})).status).toBe(400);
    expect((await clear('unknown')).body['code']).toBe('ALERT_UNKNOWN');
    expect(await clear(ID)).toMatchObject({ status: 200, body: { state: 'cleared' } });
    expect((await clear(ID)).body['code']).toBe('ALERT_NOT_FIRING');
    expect(await firingAlerts(owner, 'domain-claim', 'eu-west-1')).toEqual([]);
    const { rows } = await owner.query<{ evidence: unknown }>(
      `select evidence from portcullis_control.audit where action = 'clear-alert'`,
    );
    expect(rows).toMatchObject([{ evidence: { alert: ID, reason: 'the exporter was broken' } }]);
    // The same firing, sent again, stays cleared; the next one fires.
    await hook(alert());
    expect(await list('?state=firing')).toEqual([]);
    await hook(alert({ startsAt: '2026-03-01T11:00:00Z' }));
    expect(await list('?state=firing')).toHaveLength(1);
    expect(dropped).toHaveLength(2);
  });

  test('is cleared by nobody who may not act in its regions', async () => {
    await hook(alert());
    const as = async (role: 'worker' | 'viewer' | 'operator', regions?: string[]) => {
      const json = await served.as(`clears-${role}-${String(regions)}`.replace(/\W/g, '-'), role, regions);
      return (await poster(json)(`alerts/${ID}/clear`, { reason: 'over' })).status;
    };
    expect(await as('viewer')).toBe(403);
    expect(await as('worker')).toBe(403);
    expect(await as('operator', ['ap-south-1'])).toBe(403);
    expect(await list('?state=firing')).toHaveLength(1);
    expect(await as('operator', ['eu-west-1'])).toBe(200);
  });

  test('expires a day after it was last sent, and not before', async () => {
    await hook(alert());
    const age = (hours: number) =>
      owner.query(
        `update portcullis_control.alert set fires_until = fires_until - make_interval(hours => $1)`,
        [hours],
      );
    await age(23);
    expect(await list()).toMatchObject([{ state: 'firing' }]);
    await hook(alert());
    await age(23);
    expect(await list()).toMatchObject([{ state: 'firing' }]);
    await age(1);
    expect(await list()).toMatchObject([{ state: 'expired' }]);
    expect(await firingAlerts(owner, 'domain-claim', 'eu-west-1')).toEqual([]);
    expect((await clear(ID)).body['code']).toBe('ALERT_NOT_FIRING');
  });
});

test('a token of one region kills there, whatever else the batch names', async () => {
  const json = await served.as('bound', 'worker', ['ap-south-1']);
  const { status, body } = await poster(json)('hooks/alertmanager', {
    version: '4',
    alerts: [
      alert({ fingerprint: 'elsewhere' }),
      alert({ fingerprint: 'everywhere' }, { portcullis_job: 'domain-claim' }),
      alert({ fingerprint: 'here' }, { ...PLACE, portcullis_region: 'ap-south-1' }),
    ],
  });
  expect([status, fates(body)]).toEqual([422, ['refused', 'refused', 'killed']]);
  expect(dropped.map(({ region }) => region)).toEqual(['ap-south-1', 'ap-south-1']);
});

test('a resolved alert is noted, and re-arms nothing', async () => {
  await hook(alert());
  await owner.query(`insert into portcullis_region.gate (job, region, state, killed_at, killed_by)
    values ('domain-claim', 'eu-west-1', 'killed', clock_timestamp(), 'guard:pager')`);
  const { body } = await hook(alert({ status: 'resolved', endsAt: '2026-03-01T10:00:00Z' }));
  expect(fates(body)).toEqual(['resolved']);
  const { rows } = await owner.query<Record<string, unknown>>(
    'select resolved_at is not null as resolved, (select state from portcullis_region.gate) as state from portcullis_control.alert',
  );
  expect(rows).toEqual([{ resolved: true, state: 'killed' }]);
  expect(dropped).toHaveLength(1);
});

test('alerts are taken from a worker for its regions, and from nobody who may not kill', async () => {
  const as = async (role: 'worker' | 'viewer' | 'approver', regions?: string[]) => {
    const json = await served.as(`a-${role}-${String(regions)}`.replace(/\W/g, '-'), role, regions);
    return (await poster(json)('hooks/alertmanager', { version: '4', alerts: [alert()] })).status;
  };
  expect(await as('viewer')).toBe(403);
  expect(await as('approver')).toBe(403);
  expect(await as('worker', ['ap-south-1'])).toBe(403);
  expect(dropped).toEqual([]);
  expect(await as('worker', ['eu-west-1'])).toBe(200);
});
