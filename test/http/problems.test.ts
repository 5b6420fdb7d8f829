import { describe, expect, test } from '@jest/globals';
import { ERRORS, type ErrorCode } from '../../src/kernel/errors.js';
import { openPool } from '../../src/postgres/pool.js';
import { admitVersions } from '../support/admissions.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { answerOf, hearFlags, databasesAt, post, serving, type Answer } from './serving.js';

const database = await testDatabase();
const { owner } = database;
const flags = await hearFlags(owner);
const served = await serving(owner, { flags: flags.desk });

const FLAG = '/api/v1/flags/domain-claim/eu-west-1';

/** Checks the whole shape of an error: RFC 9457 and our own members. */
function expectProblem({ status, headers, body }: Answer, code: ErrorCode): void {
  expect([body['code'], status]).toEqual([code, ERRORS[code].status]);
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(body).toMatchObject({
    type: `urn:portcullis:error:${code}`,
    title: ERRORS[code].title,
    status,
    instance: `urn:portcullis:request:${headers.get('x-request-id') ?? ''}`,
  });
  expect(body['detail']).toEqual(expect.stringMatching(/\S/));
}

describe('an error is a problem document', () => {
  test('for an address where nothing is, inside the API and outside', async () => {
    expectProblem(await served.json('/api/v1/nothing'), 'NOT_FOUND');
    expectProblem(await answerOf(await fetch(`${served.url}/nothing`)), 'NOT_FOUND');
  });

  test.each([
    ['DELETE', '/api/v1/runs', 'GET, HEAD'],
    ['PUT', FLAG, 'POST'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['OPTIONS', '/api/v1/jobs', 'GET, HEAD'],
  ])('for %s %s, with the methods that are taken', async (method, path, allow) => {
    const answer = await served.json(path, { method });
    expectProblem(answer, 'METHOD_NOT_ALLOWED');
    expect(answer.headers.get('allow')).toBe(allow);
  });

  test.each([
    ['/api/v1/runs?limit=0', 'limit'],
    ['/api/v1/runs?limit=201', 'limit'],
    ['/api/v1/runs?limit=many', 'limit'],
    ['/api/v1/runs?limit=1.5', 'limit'],
    ['/api/v1/runs?status=done', 'status'],
    ['/api/v1/runs?job=a&job=b', 'job'],
    ['/api/v1/runs?job=%00', 'job'],
    ['/api/v1/gates?region=', 'region'],
  ])('for the query of %s, naming what is wrong', async (path, at) => {
    const answer = await served.json(path);
    expectProblem(answer, 'REQUEST_INVALID');
    expect(answer.body['details']).toMatchObject({ faults: [{ in: 'query', at }] });
  });

  test('for a parameter that is not known, naming it', async () => {
    const answer = await served.json('/api/v1/runs?regoin=eu-west-1');
    expectProblem(answer, 'REQUEST_INVALID');
    expect(answer.body['detail']).toContain('regoin');
  });

  test.each([
    'x',
    'W10',
    Buffer.from('["a","b","c"]').toString('base64url'),
    Buffer.from('["2026-01-01; drop table","x"]').toString('base64url'),
  ])('for the cursor %s, which no list gave', async (cursor) => {
    expectProblem(await served.json(`/api/v1/runs?cursor=${cursor}`), 'REQUEST_INVALID');
    expectProblem(await served.json(`/api/v1/runs/abcd/changes?cursor=${cursor}`), 'RUN_UNKNOWN');
  });

  test('for a path that cannot be decoded', async () => {
    expectProblem(await served.json('/api/v1/runs/%E0%A4%A'), 'REQUEST_INVALID');
  });

  test.each([
    ['broken JSON', post('{"enabled": tru')],
    ['no JSON at all', { method: 'POST' }],
    ['a form', { method: 'POST', body: new URLSearchParams({ enabled: 'true' }) }],
    ['an array', post([])],
    ['a bare word', post('"on"')],
    ['nothing to change', post({ reason: 'x' })],
    ['no reason', post({ enabled: true })],
    ['an empty reason', post({ enabled: true, reason: '  ' })],
    ['an unknown key', post({ enabled: true, reason: 'x', enbaled: true })],
    ['a share over the whole', post({ variants: [{ version: '1', permille: 1001 }], reason: 'x' })],
    ['a NUL', post({ enabled: true, reason: 'a\0b' })],
    ['half a character', post({ enabled: true, reason: 'a\ud83d' })],
  ])('for a body with %s', async (_, init) => {
    expectProblem(await served.json(FLAG, init), 'REQUEST_INVALID');
  });

  test.each([
    ['U+0000', 'a\0b', 'must not hold the character U+0000'],
    ['half a character', 'a\ud83d', 'must not hold half a character (a lone surrogate)'],
  ])('for a text with %s, in plain words, wherever one is taken', async (_, odd, message) => {
    const cursor = Buffer.from(JSON.stringify([odd, odd])).toString('base64url');
    for (const [path, body] of [
      ['/api/v1/jobs/domain-claim/kill', { reason: odd }],
      ['/api/v1/jobs/domain-claim/kill', { region: odd, reason: 'x' }],
      ['/api/v1/stop', { reason: odd }],
      ['/api/v1/jobs/domain-claim/rearm', { region: 'eu-west-1', reason: odd }],
      ['/api/v1/incidents', { job: 'domain-claim', title: odd }],
      ['/api/v1/incidents/abcdefgh/close', { conclusion: odd }],
      ['/api/v1/incidents/abcdefgh/include', { run: 'abcd', reason: odd }],
      ['/api/v1/rollouts/domain-claim/pause', { reason: odd }],
      ['/api/v1/databases/confirm', { reason: odd }],
      ['/api/v1/alerts/00c0ffee/clear', { reason: odd }],
    ] as const) {
      const refused = await served.json(path, post(body));
      expectProblem(refused, 'REQUEST_INVALID');
      expect([path, refused.body['detail']]).toEqual([path, expect.stringContaining(message)]);
    }
    for (const path of ['/api/v1/gates', '/api/v1/incidents', '/api/v1/runs', '/api/v1/audit'])
      expectProblem(await served.json(`${path}?cursor=${cursor}`), 'REQUEST_INVALID');
    for (const query of [`job=${encodeURIComponent('a\0b')}`, 'job=%ED%A0%BD'])
      expect((await served.json(`/api/v1/incidents?${query}`)).status).toBeLessThan(500);
    expect((await owner.query('select from portcullis_region.gate')).rowCount).toBe(0);
  });

  test('for a body over 64 KiB', async () => {
    const answer = await served.json(FLAG, post({ enabled: true, reason: 'x'.repeat(65 * 1024) }));
    expectProblem(answer, 'BODY_TOO_LARGE');
  });

  test('for a flag that is not there, or has changed', async () => {
    const change = post({ enabled: true, reason: 'x' });
    expectProblem(await served.json('/api/v1/flags/domain-clame/eu-west-1', change), 'JOB_UNKNOWN');
    const noRegion = await served.json('/api/v1/flags/domain-claim/eu-west-2', change);
    expectProblem(noRegion, 'REGION_UNKNOWN');
    expect(noRegion.body['hint']).toBe('did you mean eu-west-1?');
    const stale = await served.json(FLAG, post({ enabled: true, reason: 'x', ifRevision: 99 }));
    expectProblem(stale, 'FLAG_REVISION_STALE');
    const half = { version: '1.0.0_a', permille: 600 };
    const over = post({ variants: [half, { ...half, version: '1.0.0_b' }], reason: 'x' });
    expectProblem(await served.json(FLAG, over), 'FLAG_CHANGE_INVALID');
  });

  test('for a fault of our own, which tells the log and not the caller', async () => {
    const broken = await serving(owner, {
      jobs: () => {
        throw new Error('secret thing at /home/someone');
      },
    });
    const answer = await broken.json('/api/v1/jobs', { headers: { 'x-request-id': 'find-me' } });
    expectProblem(answer, 'INTERNAL');
    expect(JSON.stringify(answer.body)).not.toContain('secret thing');
    await broken.close();
    const line = broken.logged.find((each) => each.includes('find-me'));
    expect(JSON.parse(line ?? '')).toMatchObject({
      level: 'error',
      route: '/api/v1/jobs',
      status: 500,
      err: { message: 'secret thing at /home/someone' },
    });
  });

  test('for a database that is away, with when to try again', async () => {
    const away = openPool('postgres://someone:pw@127.0.0.1:1/none', { name: 'away' });
    const regionAway = await serving(owner, { regionDatabases: databasesAt(away) });
    const answer = await regionAway.json('/api/v1/runs');
    expectProblem(answer, 'DATABASE_UNREACHABLE');
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(JSON.stringify(answer.body)).not.toContain('127.0.0.1');
    const controlAway = await serving(owner, { control: away });
    expectProblem(await controlAway.json('/api/v1/jobs'), 'DATABASE_UNREACHABLE');
    await away.end();
  });
});

describe('a flag', () => {
  test('is set, on the record under the name of the token, and heard by the process', async () => {
    const name = 'domain-claim.eu-west-1';
    const [before] = (await flags.desk.list()).filter((flag) => flag.name === name);
    expect(flags.desk.look(name)).toMatchObject({ open: false, code: 'flag-off' });
    await admitVersions(owner, { job: 'domain-claim', region: 'eu-west-1' }, ['1.0.0_9f3c2a1b']);
    const { status, body } = await served.json(
      FLAG,
      post({
        enabled: true,
        variants: [{ version: '1.0.0_9f3c2a1b', permille: 250 }],
        reason: 'first quarter',
        ifRevision: before?.revision,
      }),
    );
    expect(status).toBe(200);
    expect(body).toMatchObject({ name, enabled: true, reason: 'first quarter' });
    expect(body['revision']).toBeGreaterThan(before?.revision ?? Infinity);
    expect(body['variants']).toEqual([{ version: '1.0.0_9f3c2a1b', permille: 250 }]);
    expect(body['changedBy']).toMatch(/^test-/);
    await until('the flag is heard', () => flags.desk.look(name).open);
  });
});

describe('every answer', () => {
  test('has a request id: the one given where it is plain, else a new one', async () => {
    const idFor = async (given?: string) => {
      const headers = given === undefined ? {} : { 'x-request-id': given };
      return (await fetch(`${served.url}/healthz`, { headers })).headers.get('x-request-id');
    };
    expect(await idFor('order-66.a_B')).toBe('order-66.a_B');
    expect(await idFor()).toMatch(/^[0-9a-f-]{36}$/);
    expect(await idFor('a b')).toMatch(/^[0-9a-f-]{36}$/);
    expect(await idFor('x'.repeat(65))).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('carries the headers of helmet and does not say what serves it', async () => {
    const { headers } = await fetch(`${served.url}/healthz`);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(headers.get('x-powered-by')).toBeNull();
  });

  test('is measured by route, never by path', async () => {
    await served.call('/api/v1/runs/0123456789abcdef');
    await fetch(`${served.url}/some/odd/path`);
    const text = await (await fetch(`${served.url}/metrics`)).text();
    expect(text).toContain(
      'portcullis_http_request_duration_seconds_count{method="GET",route="/api/v1/runs/:id",status="404"}',
    );
    expect(text).toContain('route="unmatched",status="404"');
    expect(text).not.toContain('0123456789abcdef');
    expect(text).not.toContain('odd/path');
  });
});
