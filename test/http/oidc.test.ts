import { request } from 'node:http';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { addPerson, listPeople, removePerson } from '../../src/access/people.js';
import { linkIdentity, unlinkIdentity } from '../../src/access/identities.js';
import { Provider } from '../../src/server/oidc.js';
import { Browser, signInSettings, startIdentityProvider } from '../support/identity-provider.js';
import { forgedTokens } from '../support/forged-tokens.js';
import { testDatabase } from '../support/database.js';
import { person, tokenOf } from '../support/people.js';
import { freePort } from '../support/prometheus.js';
import { serving } from './serving.js';

const { owner } = await testDatabase();
const port = await freePort();
const idp = await startIdentityProvider(`http://127.0.0.1:${port}`);

const SETTINGS = signInSettings(idp.issuer, [
  { group: 'release', role: 'operator', regions: ['eu-west-1'] },
  { group: 'oncall', role: 'approver', regions: null },
]);
const served = await serving(owner, {}, { port, provider: new Provider(SETTINGS) });
const { url } = served;
const START = `${url}/session/oidc`;

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function ask(browser: Browser, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await browser.go(url + path, init);
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Answer['body'] };
}
const act = (browser: Browser, path: string): Promise<Answer> =>
  ask(browser, path, {
    method: 'POST',
    headers: { origin: url, 'content-type': 'application/json' },
    body: '{}',
  });
const me = (browser: Browser): Promise<Answer> => ask(browser, '/api/v1/me');
/** Why the last try was refused, as the page is told: once. */
const problem = async (browser: Browser): Promise<unknown> =>
  (await ask(browser, '/session/ways')).body['problem'];
const isOurs = (at: string): boolean => at.startsWith(url) && !at.includes('/session/');
const isCallback = (at: string): boolean => at.startsWith(`${url}/session/oidc/callback`);

let count = 0;
let name = '';
let subject = '';
beforeEach(async () => {
  count += 1;
  name = `ann-${count}`;
  subject = `subject-${name}`;
  await idp.groups(subject, ['staff', 'release']);
});

async function signedIn(as = subject): Promise<Browser> {
  const browser = new Browser();
  await browser.signIn(START, as, isOurs);
  expect(await problem(browser)).toBeNull();
  return browser;
}

describe('signing in by the identity provider', () => {
  test('gives what the first listed group gives, and leads to the page that was asked for', async () => {
    const browser = new Browser();
    const to = '/runs?job=domain-claim';
    const at = await browser.signIn(`${START}?to=${encodeURIComponent(to)}`, subject, isOurs);
    expect(at).toBe(url + to);
    expect(await me(browser)).toMatchObject({
      status: 200,
      body: { name: `oidc:${name}`, person: name, role: 'operator', regions: ['eu-west-1'] },
    });
    const { rows } = await owner.query(
      `select evidence ->> 'by' as by, evidence ->> 'group' as "group" from portcullis_control.audit
       where action = 'sign-in' and principal = $1`,
      [`oidc:${name}`],
    );
    expect(rows).toEqual([{ by: 'provider', group: 'release' }]);
  });

  test('sets a strict cookie for the session, and a lax one for 10 minutes before that', async () => {
    const browser = new Browser();
    const start = await browser.go(START);
    expect(start.status).toBe(303);
    const asked = new URL(start.headers.get('location') ?? '');
    expect(asked.searchParams.get('code_challenge_method')).toBe('S256');
    expect(start.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        new RegExp(
          `^portcullis-sign-in-${port}=[\\w-]+; Max-Age=600; Path=/; Expires=[^;]+; HttpOnly; SameSite=Lax$`,
        ),
      ),
    ]);
    const back = await browser.signIn(asked.href, subject, isCallback);
    const response = await browser.go(back);
    expect(response.headers.getSetCookie().find((each) => each.includes('session'))).toMatch(
      new RegExp(`^portcullis-session-${port}=[\\w-]{43}; Path=/; HttpOnly; SameSite=Strict$`),
    );
  });

  test.each([
    ...['//evil.example', 'https://evil.example', '/\\evil.example', '/session/end', 'runs'],
    ...[
      '/.//evil.example',
      '/x/..//evil.example/a',
      '/./\\evil.example',
      '/\t/evil.example',
      '/.//session/end',
    ],
  ])('leads to the first page where it was to lead to %s', async (to) => {
    const at = await new Browser().signIn(`${START}?to=${encodeURIComponent(to)}`, subject, isOurs);
    expect(at).toBe(`${url}/`);
  });

  test('refuses somebody in no group, and says so on the page, once', async () => {
    await idp.groups(subject, ['staff']);
    const browser = new Browser();
    expect(await browser.signIn(START, subject, isOurs)).toBe(`${url}/sign-in`);
    expect(await problem(browser)).toMatchObject({ code: 'SIGN_IN_REFUSED' });
    expect(await problem(browser)).toBeNull();
    expect((await me(browser)).status).toBe(401);
  });

  test('gives the session a secret of its own, whatever cookie came; neither it nor the code shows anywhere', async () => {
    const browser = new Browser();
    const planted = 'a'.repeat(43);
    const back = await browser.signIn(START, subject, isCallback);
    const sent = await fetch(back, {
      headers: { cookie: `${browser.cookiesFor(url)}; portcullis-session-${port}=${planted}` },
      redirect: 'manual',
    });
    const session = sent.headers.getSetCookie().find((each) => each.startsWith('portcullis-session'));
    const secret = session?.split(/[=;]/)[1] ?? '';
    expect(secret).toMatch(/^[\w-]{43}$/);
    expect(secret).not.toBe(planted);
    const code = new URL(back).searchParams.get('code') ?? '';
    const { rows } = await owner.query<{ row: string }>(
      `select a::text as row from portcullis_control.audit a union all
       select s::text from portcullis_control.session s union all select i::text from portcullis_control.identity i`,
    );
    const kept = [...rows.map(({ row }) => row), ...served.logged, sent.headers.get('location')].join('\n');
    for (const each of [secret, code]) {
      expect(each.length).toBeGreaterThan(20);
      expect(kept).not.toContain(each);
    }
  });

  test.each(['/session/oidc', '/session/oidc/callback?code=x&state=y', '/session/ways'])(
    'is not begun under a name that is not ours: %s',
    async (path) => {
      const status = await new Promise((resolve, reject) => {
        request(url + path, { headers: { host: `evil.example:${port}` } }, (response) => {
          response.resume();
          resolve([response.statusCode, response.headers['set-cookie']]);
        })
          .on('error', reject)
          .end();
      });
      expect(status).toEqual([421, undefined]);
    },
  );

  test.each([
    ['/session', 'application/json', JSON.stringify({ token: 'x'.repeat(5_000) })],
    ['/session/oidc/logout', 'application/x-www-form-urlencoded', `logout_token=${'x'.repeat(70_000)}`],
  ])('reads no endless body at %s', async (path, type, body) => {
    const init = { method: 'POST', headers: { origin: url, 'content-type': type }, body };
    expect((await fetch(url + path, init)).status).toBe(413);
  });

  test('takes no token where the provider is there to ask', async () => {
    const { token } = await tokenOf(owner, { name, role: 'operator' });
    const headers = { origin: url, 'content-type': 'application/json' };
    const response = await fetch(`${url}/session`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ token }),
    });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ code: 'SIGN_IN_BY_PROVIDER' });
  });
});

describe('an answer of the provider', () => {
  const refusal = async (browser: Browser, at: string): Promise<unknown> => {
    await browser.signIn(at, subject, isOurs);
    expect((await me(browser)).status).toBe(401);
    return problem(browser);
  };

  test('works once: a code that is played again is refused, with the same transaction', async () => {
    const browser = new Browser();
    const back = await browser.signIn(START, subject, isCallback);
    const cookie = browser.cookiesFor(url);
    expect((await browser.go(back)).headers.get('location')).toBe('/');
    const again = await fetch(back, { headers: { cookie }, redirect: 'manual' });
    expect(again.headers.get('location')).toBe('/sign-in');
    expect(again.headers.getSetCookie().some((each) => each.startsWith('portcullis-session'))).toBe(false);
    expect(await refusal(new Browser(), back)).toMatchObject({ code: 'SIGN_IN_REFUSED' });
  });

  test('is another browser’s: refused without the transaction, or with another one', async () => {
    const back = await new Browser().signIn(START, subject, isCallback);
    const other = new Browser();
    await other.go(START);
    expect(await refusal(other, back)).toMatchObject({ code: 'SIGN_IN_REFUSED' });
    expect(await refusal(new Browser(), back)).toMatchObject({
      detail: 'this browser did not begin to sign in, or more than 10 minutes ago',
    });
  });

  test('is refused with a token for another audience', async () => {
    await idp.fault('audience');
    try {
      expect(await refusal(new Browser(), START)).toMatchObject({
        code: 'SIGN_IN_REFUSED',
        detail: expect.stringContaining('the claim aud') as unknown,
      });
    } finally {
      await idp.fault(undefined);
    }
  });

  // Its ID tokens last 60 s, and a clock may be 30 s off.
  test.each([
    [-75_000, 'accepted'],
    [-110_000, 'refused'],
  ])('with a clock that is %d ms ahead is %s', async (ms, what) => {
    const browser = new Browser();
    const back = await browser.signIn(START, subject, isCallback);
    await idp.skew(ms);
    try {
      await browser.signIn(back, subject, isOurs);
      expect((await me(browser)).status).toBe(what === 'accepted' ? 200 : 401);
    } finally {
      await idp.skew(0);
    }
  });
});

describe('a session by the provider', () => {
  test('has what the groups give now at the next sign-in, and what they gave before ends everywhere', async () => {
    const before = await signedIn();
    await idp.groups(subject, ['oncall']);
    const after = await signedIn();
    expect((await me(after)).body).toMatchObject({ role: 'approver', regions: null });
    expect((await me(before)).body).toMatchObject({ code: 'SESSION_ENDED' });
    const people = await listPeople(owner);
    expect(people.find((each) => each.name === name)).toMatchObject({
      knownBy: 'provider',
      identities: [{ issuer: idp.issuer, subject, role: 'approver', regions: null, groups: ['oncall'] }],
    });
    await idp.groups(subject, []);
    await new Browser().signIn(START, subject, isOurs);
    expect((await me(after)).status).toBe(401);
  });

  test.each([
    ['8 hours after its last use', "last_used_at = clock_timestamp() - interval '8 hours'"],
    ['24 hours after it began', "created_at = clock_timestamp() - interval '24 hours'"],
  ])('ends %s', async (_, change) => {
    const browser = await signedIn();
    expect((await me(browser)).status).toBe(200);
    await owner.query(`update portcullis_control.session set ${change} where subject = $1`, [subject]);
    expect((await me(browser)).status).toBe(401);
  });

  test('ends at sign-out, and leads to where the provider’s own session ends', async () => {
    const browser = await signedIn();
    const { body } = await act(browser, '/session/end');
    expect(body).toMatchObject({ ended: true });
    expect(String(body['next'])).toMatch(new RegExp(`^${idp.issuer}/session/end\\?`));
    expect((await me(browser)).status).toBe(401);
  });

  test('ends when its person is removed, who then signs in no more', async () => {
    const browser = await signedIn();
    await removePerson(owner, name, person('root', 'admin'));
    expect((await me(browser)).status).toBe(401);
    const again = new Browser();
    await again.signIn(START, subject, isOurs);
    expect(await problem(again)).toMatchObject({ code: 'SIGN_IN_REFUSED', detail: `${name} was removed` });
  });

  test('gives no code for a link: there is no token that it would stand in for', async () => {
    expect(await act(await signedIn(), '/api/v1/sign-in-codes')).toMatchObject({
      status: 403,
      body: { code: 'SIGN_IN_REFUSED' },
    });
  });
});

describe('back-channel logout', () => {
  const tell = (token: string): Promise<Response> =>
    fetch(`${url}/session/oidc/logout`, {
      method: 'POST',
      body: new URLSearchParams({ logout_token: token }),
    });
  const EVENT = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  const notice = (claims: object = {}): Promise<string> =>
    idp.mint({ aud: 'portcullis', sub: subject, events: EVENT, ...claims }, 'logout+jwt');

  test('comes from the provider when somebody signs out there, and ends that session alone', async () => {
    const browser = await signedIn();
    const elsewhere = await signedIn();
    const page = await (await browser.go(`${idp.issuer}/session/end`)).text();
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page)?.[1] ?? '';
    await browser.go(`${idp.issuer}/session/end/confirm`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ xsrf, logout: 'yes' }).toString(),
    });
    expect((await me(browser)).body).toMatchObject({ code: 'SESSION_ENDED' });
    expect((await me(elsewhere)).status).toBe(200);
    const { rows } = await owner.query(
      `select evidence ->> 'why' as why from portcullis_control.audit where action = 'sign-out' and subject = $1`,
      [name],
    );
    expect(rows).toEqual([{ why: 'provider signed out' }]);
  });

  test('ends every session of a person where it names no session', async () => {
    const browsers = [await signedIn(), await signedIn()];
    expect(await (await tell(await notice())).text()).toBe('');
    for (const browser of browsers) expect((await me(browser)).status).toBe(401);
  });

  test.each([
    ['for another client', { aud: 'another' }],
    ['of another issuer', { iss: 'https://evil.example' }],
    ['that is old', { iat: Math.floor(Date.now() / 1000) - 3_600 }],
    ['that has expired', { exp: Math.floor(Date.now() / 1000) - 600 }],
    ['that is an ID token', { nonce: 'n' }],
    ['of another event', { events: {} }],
    ['that names nobody', { sub: undefined }],
  ])('%s is refused, and ends nothing', async (_, claims) => {
    const browser = await signedIn();
    const response = await tell(await notice(claims));
    expect({ status: response.status, body: await response.json() }).toMatchObject({
      status: 403,
      body: { code: 'SIGN_IN_REFUSED' },
    });
    expect((await me(browser)).status).toBe(200);
  });

  test('that was made with the public key, or with none, is refused, and ends nothing', async () => {
    const browser = await signedIn();
    for (const [how, forged] of await forgedTokens(idp.issuer, await notice()))
      expect([how, (await tell(forged)).status]).toEqual([how, 403]);
    expect((await me(browser)).status).toBe(200);
  });

  test('that somebody else signed is refused', async () => {
    const [head = '', body = ''] = (await notice()).split('.');
    expect((await tell(`${head}.${body}.AAAA`)).status).toBe(403);
  });
});

describe('a person', () => {
  const admin = person('root', 'admin');

  test('who is known by a token is not taken over by somebody of that name, until an admin says that they are one', async () => {
    await tokenOf(owner, { name, role: 'operator' });
    const browser = new Browser();
    await browser.signIn(START, subject, isOurs);
    expect(await problem(browser)).toMatchObject({
      code: 'PERSON_KNOWN',
      hint: expect.stringContaining(
        `portcullis people link ${name} --issuer ${idp.issuer} --subject ${subject}`,
      ) as unknown,
    });
    await linkIdentity(owner, { name, issuer: idp.issuer, subject }, admin);
    expect((await me(await signedIn())).body).toMatchObject({ person: name });
    await expect(linkIdentity(owner, { name, issuer: idp.issuer, subject }, admin)).rejects.toMatchObject({
      code: 'IDENTITY_LINKED',
    });
  });

  test('whose link is ended is signed out', async () => {
    const browser = await signedIn();
    expect(await unlinkIdentity(owner, { issuer: idp.issuer, subject }, admin)).toBe(name);
    expect((await me(browser)).status).toBe(401);
  });

  test('who was removed and is added again signs in again', async () => {
    await signedIn();
    await removePerson(owner, name, admin);
    await addPerson(owner, { name, role: 'viewer', replace: true }, admin);
    expect((await me(await signedIn())).status).toBe(200);
  });
});

test('a provider that does not answer is named, and the next try asks it again', async () => {
  const away = await freePort();
  const provider = new Provider({ ...SETTINGS, issuer: `http://127.0.0.1:${away}` });
  const other = await serving(owner, {}, { provider });
  const browser = new Browser();
  const response = await browser.go(`${other.url}/session/oidc`);
  expect(response.headers.get('location')).toBe('/sign-in');
  const body = (await (await browser.go(`${other.url}/session/ways`)).json()) as Answer['body'];
  expect(body).toMatchObject({ provider: { label: 'Acme' }, problem: { code: 'PROVIDER_UNREACHABLE' } });
});
