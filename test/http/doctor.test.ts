import { describe, expect, test } from '@jest/globals';
import { examine } from '../../src/doctor/examine.js';
import type { Finding, Hearing, Patient } from '../../src/doctor/patient.js';
import type { DoctorContext, Finding as JobFinding } from '../../src/sdk/index.js';
import type { KnownJob } from '../../src/worker/registry.js';
import { openPool } from '../../src/postgres/pool.js';
import { testDatabase } from '../support/database.js';
import { FakeApp } from '../unit/cli/fake-app.js';
import { FakeTerminal } from '../unit/cli/fake-terminal.js';
import { runAt } from './remote.js';
import { hearFlags, databasesAt, serving } from './serving.js';

/** The doctor over HTTP, on a real database. */

const { owner, url } = await testDatabase();
const heard = await hearFlags(owner);
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
