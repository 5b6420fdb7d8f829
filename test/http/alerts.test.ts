import { beforeEach, describe, expect, test } from '@jest/globals';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import type { BakeFailure } from '../../src/guard/bake/drop-gate.js';
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
    return Promise.resolve();
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
      ['ap-south-1', 'eu-west-1'].map((region) => ({ region, version: '1.0.0+a' })),
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

  test('of another version, or of what is no alert, is refused whole', async () => {
    const strange = post({ version: '5', alerts: [alert()] });
    expect((await served.json('/api/v1/hooks/alertmanager', strange)).body['code']).toBe('REQUEST_INVALID');
    expect((await hook(alert(), { status: 'firing' })).body['code']).toBe('REQUEST_INVALID');
    expect(dropped).toEqual([]);
  });
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
