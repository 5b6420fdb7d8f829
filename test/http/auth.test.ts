import { describe, expect, test } from '@jest/globals';
import { listTokens, revokeToken, principalOfToken } from '../../src/access/tokens.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { answerOf, serving } from './serving.js';
import { person, tokenOf } from '../support/people.js';

const database = await testDatabase();
const { owner } = database;
const served = await serving(owner);

const bearing = (value: string) => ({ headers: { authorization: value } });

describe('a call under /api', () => {
  test.each(['/api/v1/runs', '/api/v1/openapi.json', '/api/v1/no-such-thing', '/api', '/api/v1/runs/'])(
    'to %s needs a token',
    async (path) => {
      const { status, headers, body } = await answerOf(await fetch(served.url + path));
      expect(status).toBe(401);
      expect(body['code']).toBe('TOKEN_MISSING');
      expect(headers.get('www-authenticate')).toBe('Bearer realm="portcullis"');
    },
  );

  test.each(['/API/v1/runs', '/%61pi/v1/runs', '//api/v1/runs', '/./api/v1/runs', '/x/../api/v1/runs'])(
    'is not reached without one by writing the address as %s',
    async (path) => {
      const { status, body } = await answerOf(await fetch(served.url + path));
      expect([401, 404]).toContain(status);
      expect(body['items']).toBeUndefined();
    },
  );

  test('with a method that is not taken needs a token as well', async () => {
    const { status } = await answerOf(await fetch(`${served.url}/api/v1/runs`, { method: 'DELETE' }));
    expect(status).toBe(401);
  });

  test.each(['Bearer pcl_AAAA', 'Bearer ', 'Basic dXNlcjpwYXNz', 'Bearer a b', "Bearer ' or 1=1"])(
    'with the header %j is refused',
    async (header) => {
      const { status, headers, body } = await served.json('/api/v1/runs', bearing(header));
      expect(status).toBe(401);
      expect(body['code']).toBe('TOKEN_REFUSED');
      expect(headers.get('www-authenticate')).toContain('invalid_token');
    },
  );

  test('with the token is answered, and not to be cached', async () => {
    const response = await served.call('/api/v1/runs');
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  test('with a token is refused from the moment it is revoked', async () => {
    const { token } = await tokenOf(owner, { name: 'leaver', role: 'viewer' });
    expect((await served.call('/api/v1/runs', bearing(`Bearer ${token}`))).status).toBe(200);
    await revokeToken(owner, 'leaver', 'test');
    expect((await served.call('/api/v1/runs', bearing(`Bearer ${token}`))).status).toBe(401);
  });
});

test.each(['/metrics', '/healthz', '/readyz'])('%s needs no token', async (path) => {
  expect((await fetch(served.url + path)).status).toBe(200);
});

describe('a token', () => {
  test('is 256 random bits, and the database has only its hash', async () => {
    const { token } = await tokenOf(owner, { name: 'hashed', role: 'viewer' });
    expect(token).toMatch(/^pcl_[\w-]{43}$/);
    const { rows } = await owner.query<{ row: string }>(
      `select t::text as row from portcullis_control.api_token t where name = 'hashed'`,
    );
    expect(rows[0]?.row).not.toContain(token.slice(4));
    expect(rows[0]?.row).not.toContain(Buffer.from(token).toString('hex'));
  });

  test('names its holder', async () => {
    const { id, token } = await tokenOf(owner, { name: 'alice', role: 'viewer' });
    expect(await principalOfToken(owner, token)).toEqual({
      id,
      ...person('alice', 'viewer'),
    });
    expect(await principalOfToken(owner, `${token}x`)).toBeUndefined();
  });

  test('has a name that no other has, unless it replaces it', async () => {
    const first = await tokenOf(owner, { name: 'bob', role: 'viewer' });
    await expect(tokenOf(owner, { name: 'bob', role: 'viewer' })).rejects.toMatchObject({
      code: 'TOKEN_NAME_TAKEN',
    });
    const second = await tokenOf(owner, { name: 'bob', role: 'viewer', replace: true });
    expect(await principalOfToken(owner, first.token)).toBeUndefined();
    expect(await principalOfToken(owner, second.token)).toEqual({
      id: second.id,
      ...person('bob', 'viewer'),
    });
  });

  test('that replaces a revoked one is valid', async () => {
    await tokenOf(owner, { name: 'back', role: 'viewer' });
    await revokeToken(owner, 'back', 'test');
    const { token } = await tokenOf(owner, { name: 'back', role: 'viewer', replace: true });
    expect(await principalOfToken(owner, token)).toBeDefined();
  });

  test.each(['', ' ', 'a b', '-x', 'x'.repeat(65), 'a\nb'])('cannot be named %j', async (name) => {
    await expect(tokenOf(owner, { name, role: 'viewer' })).rejects.toMatchObject({
      code: 'TOKEN_NAME_INVALID',
    });
  });

  test('that is not there cannot be revoked', async () => {
    await expect(revokeToken(owner, 'nobody', 'test')).rejects.toMatchObject({ code: 'TOKEN_UNKNOWN' });
  });

  test('notes its last use, at most once a minute', async () => {
    const { token } = await tokenOf(owner, { name: 'busy', role: 'viewer' });
    const lastUse = async () => (await listTokens(owner)).find(({ name }) => name === 'busy')?.lastUsedAt;
    expect(await lastUse()).toBeNull();
    await principalOfToken(owner, token);
    const first = await lastUse();
    expect(first).not.toBeNull();
    await principalOfToken(owner, token);
    expect(await lastUse()).toBe(first);
    await owner.query(
      `update portcullis_control.api_token set last_used_at = last_used_at - interval '61 seconds' where name = 'busy'`,
    );
    await principalOfToken(owner, token);
    const next = await lastUse();
    expect(Date.parse(next ?? '')).toBeGreaterThanOrEqual(Date.parse(first ?? ''));
  });
});

test('no token is ever logged, right or wrong', async () => {
  const wrong = `pcl_${'w'.repeat(43)}`;
  await served.call('/api/v1/runs', bearing(`Bearer ${wrong}`));
  await served.call(`/api/v1/runs?token=${wrong}`);
  await served.call(`/api/v1/runs/${wrong}`);
  const last = await served.call('/api/v1/jobs', { headers: { 'x-request-id': 'the-last' } });
  await last.text();
  await until('the last call is logged', () => served.logged.some((line) => line.includes('the-last')));
  const all = served.logged.join('');
  expect(all).not.toContain(served.token);
  expect(all).not.toContain(wrong);
  expect(all).not.toContain('Bearer pcl');
});
