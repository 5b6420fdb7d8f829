import { request } from 'node:http';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { removePerson } from '../../src/access/people.js';
import { createSignInCode, principalOfSession } from '../../src/access/sessions.js';
import { issueToken, principalOfToken, revokeToken } from '../../src/access/tokens.js';
import { EventFeed } from '../../src/events/follow.js';
import { outboxesOf } from '../../src/regions/outboxes.js';
import { testDatabase } from '../support/database.js';
import { person, tokenOf } from '../support/people.js';
import { until } from '../support/until.js';
import { databasesAt, serving, type Served } from './serving.js';

const { owner } = await testDatabase();
const feed = new EventFeed(() => outboxesOf(owner, databasesAt(owner)));
const served = await serving(owner, { feed });
const behindProxy = await serving(owner, {}, { publicUrl: 'https://gates.example', listenHost: '10.0.0.5' });

interface Told {
  readonly status: number;
  readonly cookie: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

type Headers = Readonly<Record<string, string>>;

interface Sent {
  readonly method?: string;
  readonly headers?: Headers;
  readonly body?: unknown;
}

/** As a browser would send it: with any Host and Origin, which fetch does not allow. */
function send(
  { url }: Served,
  path: string,
  { method = 'GET', headers = {}, body }: Sent = {},
): Promise<Told> {
  return new Promise((resolve, reject) => {
    const sent = request(url + path, { method, headers: { 'content-type': 'application/json', ...headers } });
    sent.on('error', reject).on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => {
        const isJson = String(response.headers['content-type']).includes('json');
        resolve({
          status: response.statusCode ?? 0,
          cookie: response.headers['set-cookie']?.[0],
          body: (isJson ? JSON.parse(text) : {}) as Told['body'],
        });
      });
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const HERE = { origin: served.url };
const PUBLIC = { host: 'gates.example', origin: 'https://gates.example' };

const signIn = (body: unknown, at = served, headers: Headers = HERE): Promise<Told> =>
  send(at, '/session', { method: 'POST', headers, body });

/** Signs a person in; answers the cookie as a browser sends it. */
async function cookieOf(token: string, at = served, headers: Headers = HERE): Promise<string> {
  const { cookie } = await signIn({ token }, at, headers);
  if (cookie === undefined) throw new Error('no cookie came');
  return cookie.split(';')[0] ?? '';
}

const secretOf = (cookie: string): string => cookie.split('=')[1] ?? '';
const me = (cookie: string): Promise<Told> => send(served, '/api/v1/me', { headers: { cookie } });

let people = 0;
let name = '';
let token = '';
beforeEach(async () => {
  people += 1;
  name = `ann-${people}`;
  ({ token } = await tokenOf(owner, { name, role: 'operator' }));
});

describe('signing in', () => {
  test('by a token answers a cookie that scripts cannot read and other sites do not send', async () => {
    const { status, cookie, body } = await signIn({ token });
    expect({ status, body }).toEqual({ status: 200, body: { name, person: name } });
    const port = new URL(served.url).port;
    expect(cookie).toMatch(
      new RegExp(`^portcullis-session-${port}=[\\w-]{43}; Path=/; HttpOnly; SameSite=Strict$`),
    );
    const { rows } = await owner.query<{ row: string }>(
      'select s::text as row from portcullis_control.session s',
    );
    expect(JSON.stringify(rows)).not.toContain(secretOf(cookie?.split(';')[0] ?? ''));
  });

  test('has the permissions of the token, whose name stands on the record', async () => {
    const cookie = await cookieOf(token);
    const answer = await me(cookie);
    expect(answer).toMatchObject({ status: 200, body: { name, role: 'operator', person: name } });
    expect(answer.body['session']).toMatchObject({ expiresAt: expect.stringMatching(/Z$/) as unknown });
    const { rows } = await owner.query(
      `select principal, subject, evidence ->> 'by' as by from portcullis_control.audit
       where action = 'sign-in' and principal = $1`,
      [name],
    );
    expect(rows).toEqual([{ principal: name, subject: name, by: 'token' }]);
  });

  test('by a code works once, and never with one that is older than 30 s', async () => {
    const holder = await principalOfToken(owner, token);
    if (holder === undefined) throw new Error('the token is not known');
    const { code } = await createSignInCode(owner, holder);
    const both = await Promise.all([signIn({ code }), signIn({ code })]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 403]);
    const late = await createSignInCode(owner, holder);
    await owner.query(`update portcullis_control.sign_in_code set expires_at = clock_timestamp()`);
    expect(await signIn({ code: late.code })).toMatchObject({ status: 403, body: { code: 'CODE_REFUSED' } });
  });

  test.each([
    [{ token: 'pcl_no' }, 401, 'TOKEN_REFUSED'],
    [{ code: 'no' }, 403, 'CODE_REFUSED'],
  ])('with %j is refused, and no cookie is set', async (proof, status, code) => {
    expect(await signIn(proof)).toMatchObject({ status, cookie: undefined, body: { code } });
  });

  test.each([{}, { token: 7 }, { token: '' }, [], { code: 'a', token: 'b' }])(
    'with the body %j is malformed',
    async (body) => {
      expect(await signIn(body)).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
    },
  );

  test('is for people: a machine is refused, and so is a code for one', async () => {
    const by = { name: 'test' };
    const machine = await issueToken(owner, { name: `ci-${people}`, role: 'operator', owner: 'machine' }, by);
    expect(await signIn({ token: machine.token })).toMatchObject({
      status: 422,
      body: { code: 'MACHINE_CANNOT_SIGN_IN' },
    });
    const headers = { authorization: `Bearer ${machine.token}` };
    expect(await send(served, '/api/v1/sign-in-codes', { method: 'POST', headers })).toMatchObject({
      status: 422,
      body: { code: 'MACHINE_CANNOT_SIGN_IN' },
    });
  });
});

describe('a session', () => {
  test('ends at sign-out, on record, and its cookie is cleared', async () => {
    const cookie = await cookieOf(token);
    const out = await send(served, '/session/end', { method: 'POST', headers: { ...HERE, cookie } });
    expect(out).toMatchObject({ status: 200, body: { ended: true } });
    expect(out.cookie).toMatch(/=; Path=\/; Expires=Thu, 01 Jan 1970/);
    expect(await me(cookie)).toMatchObject({ status: 401, body: { code: 'SESSION_ENDED' } });
    const { rows } = await owner.query(
      `select from portcullis_control.audit where action = 'sign-out' and principal = $1`,
      [name],
    );
    expect(rows).toHaveLength(1);
  });

  test.each(['revoked', 'replaced'])('ends at once where its token is %s', async (how) => {
    const cookie = await cookieOf(token);
    if (how === 'revoked') await revokeToken(owner, name, 'test');
    else await tokenOf(owner, { name, role: 'operator', replace: true });
    expect((await me(cookie)).status).toBe(401);
  });

  test('ends at once where its person is removed', async () => {
    const cookie = await cookieOf(token);
    await removePerson(owner, name, person('test', 'admin'));
    expect((await me(cookie)).status).toBe(401);
  });

  test.each([
    ['8 hours after its last use', "last_used_at = clock_timestamp() - interval '8 hours'"],
    ['24 hours after it began, however it is used', "created_at = clock_timestamp() - interval '24 hours'"],
  ])('ends %s', async (_, change) => {
    const cookie = await cookieOf(token);
    expect((await me(cookie)).status).toBe(200);
    await owner.query(`update portcullis_control.session set ${change}`);
    expect((await me(cookie)).status).toBe(401);
  });

  test('is prolonged by its use, until a day has passed', async () => {
    const secret = secretOf(await cookieOf(token));
    await owner.query(
      `update portcullis_control.session set created_at = clock_timestamp() - interval '17 hours',
         last_used_at = clock_timestamp() - interval '7 hours'`,
    );
    const leftMs = async (): Promise<number> =>
      Date.parse((await principalOfSession(owner, secret))?.session?.expiresAt ?? '') - Date.now();
    expect(await leftMs()).toBeLessThan(3_700_000);
    const after = await leftMs();
    expect(after).toBeGreaterThan(6.9 * 3_600_000);
    expect(after).toBeLessThan(7.1 * 3_600_000);
  });

  test('ends what it follows where it ends itself', async () => {
    const cookie = await cookieOf(token);
    const response = await fetch(`${served.url}/api/v1/events/stream`, { headers: { cookie } });
    const text = response.text();
    await until('it follows', () => feed.followers === 1);
    await revokeToken(owner, name, 'test');
    // Any change is news: then it is looked whether the caller may still be told.
    await owner.query(
      `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
       values ('secret', $1, true, '[]', 'test', 'ann')`,
      [name],
    );
    expect(await text).not.toContain('secret');
  });

  test('tells every second that it is current, while the database answers', async () => {
    const cookie = await cookieOf(token);
    const cut = new AbortController();
    const response = await fetch(`${served.url}/api/v1/events/stream`, {
      headers: { cookie },
      signal: cut.signal,
    });
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      if (text.split(': current').length > 2) break;
    }
    cut.abort();
    expect(text).toContain('id: ');
  });
});

describe('a request with a session’s cookie', () => {
  const act = (headers: Headers): Promise<Told> =>
    send(served, '/api/v1/sign-in-codes', { method: 'POST', headers });

  test('acts only from a page of the console’s own', async () => {
    const cookie = await cookieOf(token);
    expect((await act({ cookie, ...HERE })).status).toBe(200);
    for (const origin of ['https://evil.example', 'null', served.url.replace('127.0.0.1', 'localhost'), ''])
      expect(await act({ cookie, origin })).toMatchObject({ status: 403, body: { code: 'ORIGIN_REFUSED' } });
    expect(await act({ cookie })).toMatchObject({ status: 403, body: { code: 'ORIGIN_REFUSED' } });
  });

  test('is not even read for another site’s page', async () => {
    const cookie = await cookieOf(token);
    for (const site of ['cross-site', 'same-site']) {
      const headers = { cookie, 'sec-fetch-site': site };
      expect(await send(served, '/api/v1/me', { headers })).toMatchObject({
        status: 403,
        body: { code: 'ORIGIN_REFUSED' },
      });
    }
  });

  test('is refused under a name that is not ours, which a rebound name would be', async () => {
    const cookie = await cookieOf(token);
    expect(await send(served, '/api/v1/me', { headers: { cookie, host: 'evil.example' } })).toMatchObject({
      status: 421,
      body: { code: 'HOST_REFUSED' },
    });
    const headers = { host: 'evil.example', origin: 'http://evil.example' };
    expect(await signIn({ token }, served, headers)).toMatchObject({ status: 421 });
  });

  test('of another port of this host is none of ours', async () => {
    const cookie = await cookieOf(token);
    const other = cookie.replace(/session-\d+/, 'session-1');
    expect(await me(other)).toMatchObject({ status: 401, body: { code: 'TOKEN_MISSING' } });
    expect((await me(`theme=dark; ${other}; ${cookie}`)).status).toBe(200);
  });
});

describe('behind a proxy that speaks HTTPS', () => {
  test('the cookie is for HTTPS alone, and acts come from the public address', async () => {
    const { cookie } = await signIn({ token }, behindProxy, PUBLIC);
    expect(cookie).toMatch(
      /^__Host-portcullis-session-443=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
    );
    const sent = { ...PUBLIC, cookie: cookie?.split(';')[0] ?? '' };
    const code = (headers: Headers): Promise<Told> =>
      send(behindProxy, '/api/v1/sign-in-codes', { method: 'POST', headers });
    expect((await code(sent)).status).toBe(200);
    expect((await code({ ...sent, origin: 'http://gates.example' })).status).toBe(403);
  });

  test('people sign in over plain HTTP on the machine itself, and nowhere else', async () => {
    const loopback = behindProxy.url;
    expect((await signIn({ token }, behindProxy, { origin: loopback })).status).toBe(200);
    const direct = { host: '10.0.0.5:7020', origin: 'http://10.0.0.5:7020' };
    expect(await signIn({ token }, behindProxy, direct)).toMatchObject({
      status: 403,
      cookie: undefined,
      body: { code: 'SIGN_IN_INSECURE' },
    });
  });

  test('a public address with plain HTTP takes no sign-in', async () => {
    const plain = await serving(owner, {}, { publicUrl: 'http://gates.example' });
    const headers = { host: 'gates.example', origin: 'http://gates.example' };
    expect(await signIn({ token }, plain, headers)).toMatchObject({ body: { code: 'SIGN_IN_INSECURE' } });
  });
});

test('signing in takes POST', async () => {
  expect(await send(served, '/session')).toMatchObject({ status: 405 });
});
