import { describe, expect, test } from '@jest/globals';
import { readIdentityFile } from '../../src/access/identity-file.js';
import { metadataFindings, skewFindings } from '../../src/doctor/providers.js';
import { examine } from '../../src/doctor/examine.js';
import type { Receiver } from '../../src/notify/receivers.js';
import type { Finding, Hearing, Patient } from '../../src/doctor/patient.js';
import type { DoctorContext, Finding as JobFinding } from '../../src/sdk/index.js';
import type { KnownJob } from '../../src/worker/registry.js';
import { openPool } from '../../src/postgres/pool.js';
import { testDatabase } from '../support/database.js';
import { signInSettings, startIdentityProvider } from '../support/identity-provider.js';
import { SLACK_TOKEN, startSlackServer } from '../support/slack-server.js';
import { FakeApp } from '../unit/cli/fake-app.js';
import { FakeTerminal } from '../unit/cli/fake-terminal.js';
import { runAt } from './remote.js';
import { hearFlags, databasesAt, serving } from './serving.js';

/** The doctor over HTTP, on a real database. */

const { owner, url } = await testDatabase();
const heard = await hearFlags(owner);
const idp = await startIdentityProvider('http://127.0.0.1:1');
const { api, asked } = await startSlackServer();
const { jobs: known } = await new FakeApp().open();

type Doctor = (context: DoctorContext) => Promise<readonly JobFinding[]>;

/** The job of these tests, which looks for what is wrong by itself. */
function jobWith(doctor: Doctor): KnownJob[] {
  return known.map((job) => ({ ...job, definition: { ...job.definition, doctor } }));
}

function patient(changes: Partial<Patient> = {}): Patient {
  const control = {
    ...{
      name: 'control',
      owner,
      schemas: ['control', 'region'] as const,
      given: {},
      loginUrl: () => Promise.resolve(url),
    },
    schema: { standing: 'current' as const, missing: [], unknown: [] },
  };
  return {
    ...{
      control: owner,
      regionDatabases: databasesAt(owner),
      databases: [control],
      jobs: known,
      concurrentRuns: 4,
    },
    ...{ flagSource: { kind: 'embedded' }, directDatabaseUrl: undefined },
    ...changes,
  };
}

const hear = (clients: object = {}) =>
  Promise.resolve({
    ...{ flags: heard.desk as unknown as Hearing['flags'], clients: () => clients },
    source: heard.desk.source(),
  });

const found = (findings: readonly Finding[], check: string) =>
  findings.filter((each) => each.check === check);

describe('the doctor', () => {
  const ok = () => Promise.resolve([{ mark: 'ok' as const, found: 'mail is sent' }]);

  test('answers a server’s callers as it does the process itself, and the command through it', async () => {
    const examined = () => examine(patient({ jobs: jobWith(ok) }), hear);
    const served = await serving(owner, { examine: examined });
    const { status, body } = await served.json('/api/v1/doctor');
    expect(status).toBe(200);
    const { findings } = body as { findings: Finding[] };
    expect(findings.map(({ check }) => check)).toEqual(
      expect.arrayContaining([
        'migrations',
        'logins',
        'connections',
        'database',
        'clock',
        'flags',
        'runs',
        'sweep',
      ]),
    );
    expect(found(findings, 'sweep')).toEqual([{ check: 'sweep', mark: 'ok', found: 'mail is sent' }]);
    expect(found(findings, 'migrations')).toMatchObject([{ mark: 'ok' }]);
    expect(body['healthy']).toBe(findings.every(({ mark }) => mark !== 'fail'));

    const there = await runAt({ serverUrl: served.url, token: served.token }, ['doctor', '--json']);
    const answer = JSON.parse(there.out) as {
      healthy: boolean;
      findings: (Omit<Finding, 'mark'> & { mark: string })[];
    };
    const unchecked = answer.findings.filter(({ mark }) => mark === 'not-checked');
    expect(unchecked.map(({ check }) => check)).toEqual(['Node.js', 'folder', 'disk', 'http', 'policies']);
    expect(answer.findings.filter(({ mark }) => mark !== 'not-checked').map(({ check }) => check)).toEqual(
      findings.map(({ check }) => check),
    );
    expect(there.exit).toBe(answer.healthy ? 0 : 1);
    const io = new FakeTerminal({ columns: 80 });
    const text = await runAt({ serverUrl: served.url, token: served.token }, ['doctor'], [], io);
    expect(text.out).toMatch(/^– disk +not checked from a server/m);
    expect(Math.max(...text.out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test('is refused without a token', async () => {
    const { url: at } = await serving(owner);
    expect((await fetch(`${at}/api/v1/doctor`)).status).toBe(401);
  });

  test('names no address to whoever is not told it, and does to others', async () => {
    const away = openPool('postgresql://owner@127.0.0.1:1/nothing', { name: 'test' });
    try {
      const one = (await examine(patient({ control: away }), hear)).filter(({ mark }) => mark === 'fail');
      expect(one.length).toBeGreaterThan(0);
      expect(JSON.stringify(one)).not.toContain('127.0.0.1');
      expect(JSON.stringify(one)).toContain('the server cannot reach its database');
      const here = await examine(
        patient({ control: away, address: 'postgresql://owner@127.0.0.1:1/nothing' }),
        hear,
      );
      expect(JSON.stringify(here)).toContain('127.0.0.1:1');
    } finally {
      await away.end();
    }
  });

  test('leaves the rest out where flags cannot be heard, and says so', async () => {
    const findings = await examine(patient(), () => Promise.reject(new Error('no flags')));
    expect(findings.at(-1)).toEqual({ check: 'platform', mark: 'fail', found: 'no flags' });
    expect(found(findings, 'flags')).toEqual([]);
    expect(found(findings, 'migrations')).toHaveLength(1);
  });

  test.each<[string, Doctor, unknown]>([
    [
      'throws',
      () => Promise.reject(new Error('no mail')),
      { mark: 'warn', found: 'could not be checked: no mail' },
    ],
    [
      'answers something else',
      () => Promise.resolve([{ mark: 'great', found: 'x' } as never]),
      { mark: 'warn', found: expect.stringContaining('a finding needs a mark (ok, warn, fail)') as unknown },
    ],
  ])('shows it as a warning where a job’s own check %s', async (_, doctor, expected) => {
    const findings = await examine(patient({ jobs: jobWith(doctor) }), hear);
    expect(found(findings, 'sweep')).toMatchObject([expected]);
  });

  test('shows a job’s findings in part where there are too many, and says how many are left out', async () => {
    const many = () =>
      Promise.resolve(Array.from({ length: 60 }, () => ({ mark: 'ok' as const, found: 'x' })));
    const own = found(await examine(patient({ jobs: jobWith(many) }), hear), 'sweep');
    expect(own).toHaveLength(51);
    expect(own.at(-1)).toMatchObject({ mark: 'warn', found: '10 more findings not shown' });
  });

  test('gives a job the clients that its plan has', async () => {
    const clients = { mail: true };
    let given: unknown;
    const doctor: Doctor = (context) => {
      given = context.clients;
      return ok();
    };
    await examine(patient({ jobs: jobWith(doctor) }), () => hear(clients));
    expect(given).toBe(clients);
  });
});

describe('who signs in, and where notifications go', () => {
  const examined = (changes: Partial<Patient>, check: string) =>
    examine(patient(changes), hear).then((findings) => found(findings, check));
  const groups = [{ group: 'sre', role: 'viewer', regions: null }] as const;
  const marks = (findings: readonly Finding[]): unknown[] => findings.map(({ mark }) => mark);

  test('a provider that answers is fine, for people and for workflows', async () => {
    const signIn = { ...signInSettings(idp.issuer, groups), scope: 'openid profile groups offline_access' };
    const trust = {
      name: 'ci',
      issuer: idp.issuer,
      audience: 'a',
      claims: {},
      actor: 'actor_id',
      minutes: 15,
    };
    const changes = {
      identity: () => ({ signIn, workflows: [trust, { ...trust, name: 'ci-2' }] }),
      publicUrl: 'https://portcullis.example',
    };
    expect(await examined(changes, 'sign-in')).toEqual([
      { check: 'sign-in', mark: 'ok', found: `${idp.issuer} answers, with 1 key` },
      {
        ...{ check: 'sign-in', mark: 'ok' },
        found: expect.stringContaining('https://portcullis.example/session/oidc/callback') as unknown,
      },
    ]);
    expect(await examined(changes, 'workflows')).toMatchObject([{ mark: 'ok' }]);
    const slash = { ...signIn, issuer: `${idp.issuer}/` };
    expect(await examined({ identity: () => ({ signIn: slash, workflows: [] }) }, 'sign-in')).toMatchObject([
      { mark: 'fail', found: expect.stringContaining('the two must be equal') as unknown },
      { mark: 'warn', found: expect.stringContaining('PORTCULLIS_PUBLIC_URL') as unknown },
    ]);
    await idp.away(true);
    expect(marks(await examined(changes, 'sign-in'))).toEqual(['fail', 'ok']);
    await idp.stop();
    expect(await examined(changes, 'workflows')).toMatchObject([
      { mark: 'fail', found: expect.stringContaining('no answer from') as unknown },
    ]);
  });

  test('an identity file with faults is a finding, with all of them', async () => {
    const identity = () =>
      readIdentityFile('/nowhere.yaml', { clientSecret: undefined, publicUrl: undefined });
    expect(await examined({ identity }, 'sign-in')).toMatchObject([{ mark: 'fail' }]);
  });

  test('Slack is asked whose token it is, and is sent no message', async () => {
    const slack: Extract<Receiver, { kind: 'slack' }> = {
      ...{ kind: 'slack', name: 'team', api, token: SLACK_TOKEN, signingSecret: 'x', team: 'T0123ABCD' },
      ...{ channel: 'C0123ABCD', severities: null, kinds: null, jobs: null },
    };
    const of = async (receiver: { team?: string; token?: string }) =>
      (
        await examined(
          {
            receivers: () => [{ ...slack, ...receiver }],
            publicUrl: 'https://portcullis.example',
          },
          'receivers',
        )
      ).slice(1);
    expect(marks(await of({}))).toEqual(['ok']);
    expect(asked.map(({ method }) => method)).toEqual(['auth.test']);
    expect(await of({ team: 'T0OTHER' })).toMatchObject([
      { mark: 'fail', hint: expect.stringContaining('T0123ABCD') as unknown },
    ]);
    const wrong = await of({ token: 'xoxb-another-token' });
    expect(wrong).toMatchObject([{ mark: 'fail', found: 'team (slack): auth.test: invalid_auth' }]);
    expect(JSON.stringify(wrong)).not.toContain('xoxb');
  });

  test.each([
    [{}, []],
    [{ claims_supported: ['sub', 'realm_access'] }, []],
    [{ claims_supported: ['sub'] }, ['warn']],
    [{ scopes_supported: ['openid'] }, ['warn']],
    [{ scopes_supported: ['openid', 'groups', 'offline_access'] }, ['warn']],
    [{ token_endpoint_auth_methods_supported: ['client_secret_basic'] }, ['fail']],
    [{ token_endpoint: undefined }, ['fail']],
  ])('what a provider says of itself is compared with the file: %j', (says, expected) => {
    const settings = {
      scope: 'openid groups',
      clientAuth: 'post',
      groupsClaim: 'realm_access.roles',
    } as const;
    const at = { authorization_endpoint: 'https://id.example/a', token_endpoint: 'https://id.example/t' };
    const findings = metadataFindings(settings, { ...at, ...says });
    expect(findings.map(({ mark }) => mark)).toEqual(expected);
    for (const { hint } of findings) expect(hint).not.toBeUndefined();
  });

  test('a clock that is off is a caution, and beyond 30 s a fault', () => {
    const markAt = (ms: number | undefined) => skewFindings('https://id.example', ms).map(({ mark }) => mark);
    expect([undefined, 1_500, 12_000, -40_000].map(markAt)).toEqual([[], [], ['warn'], ['fail']]);
  });
});
