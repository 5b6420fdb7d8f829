import { beforeEach, describe, expect, test } from '@jest/globals';
import { Provider } from '../../src/server/oidc.js';
import { testDatabase } from '../support/database.js';
import { Browser, signInSettings, startIdentityProvider } from '../support/identity-provider.js';
import { freePort } from '../support/prometheus.js';
import { answerOf, serving, type Answer } from './serving.js';

const { owner } = await testDatabase();
const port = await freePort();
const idp = await startIdentityProvider(`http://127.0.0.1:${port}`);
const SETTINGS = signInSettings(idp.issuer, [
  { group: 'release', role: 'operator', regions: ['eu-west-1'] },
  { group: 'oncall', role: 'approver', regions: null },
]);
const { url } = await serving(owner, {}, { port, provider: new Provider(SETTINGS) });

const me = async (browser: Browser): Promise<Answer> => answerOf(await browser.go(`${url}/api/v1/me`));
const act = async (browser: Browser, path: string): Promise<Answer> =>
  answerOf(
    await browser.go(url + path, {
      method: 'POST',
      headers: { origin: url, 'content-type': 'application/json' },
      body: '{}',
    }),
  );

let count = 0;
let name = '';
let subject = '';
beforeEach(async () => {
  count += 1;
  name = `ann-${count}`;
  subject = `subject-${name}`;
  await idp.groups(subject, ['staff', 'release']);
});

async function signedIn(): Promise<Browser> {
  const browser = new Browser();
  await browser.signIn(`${url}/session/oidc`, subject, (at) => at === `${url}/`);
  expect((await me(browser)).status).toBe(200);
  return browser;
}

describe('groups that change during a session', () => {
  /** As if the provider had last been asked 15 minutes ago, and the minute after a silence were over. */
  const due = (): Promise<unknown> =>
    owner.query(
      `update portcullis_control.session
       set groups_at = groups_at - interval '15 minutes', groups_asked_at = groups_asked_at - interval '1 minute'
       where subject = $1`,
      [subject],
    );
  const role = async (browser: Browser): Promise<unknown> => (await me(browser)).body['role'];

  test('are read again after 15 minutes, and no sooner; every session of the person follows, and it is on record', async () => {
    const [browser, other] = [await signedIn(), await signedIn()];
    await idp.groups(subject, ['oncall']);
    expect(await role(browser)).toBe('operator');
    await due();
    expect((await me(browser)).body).toMatchObject({ role: 'approver', regions: null });
    expect(await role(other)).toBe('approver');
    const { rows } = await owner.query(
      `select evidence ->> 'group' as "group", evidence ->> 'role' as role
       from portcullis_control.audit where action = 'follow-groups' and subject = $1`,
      [name],
    );
    expect(rows).toEqual([{ group: 'oncall', role: 'approver' }]);
    // The refresh token was good once; the one that came with the answer is good now.
    await idp.groups(subject, ['release']);
    await due();
    expect([await role(browser), await role(other)]).toEqual(['operator', 'operator']);
  });

  test('that give nothing any more end every session of the person', async () => {
    const [browser, other] = [await signedIn(), await signedIn()];
    await idp.groups(subject, ['staff']);
    await due();
    expect((await me(browser)).body).toMatchObject({ code: 'SESSION_ENDED' });
    expect((await me(other)).body).toMatchObject({ code: 'SESSION_ENDED' });
  });

  test('an act is carried out with what they give now', async () => {
    const browser = await signedIn();
    await idp.groups(subject, ['staff']);
    await due();
    expect(await act(browser, '/api/v1/flags/domain-claim/eu-west-1')).toMatchObject({ status: 401 });
  });

  test('somebody whose account is disabled is signed out', async () => {
    const browser = await signedIn();
    await idp.disable(subject);
    await due();
    expect((await me(browser)).body).toMatchObject({ code: 'SESSION_ENDED' });
    const { rows } = await owner.query(
      `select evidence ->> 'why' as why from portcullis_control.audit where action = 'sign-out' and subject = $1`,
      [name],
    );
    expect(rows).toEqual([{ why: 'provider refused' }]);
  });

  test('are asked for by one request of many', async () => {
    const browser = await signedIn();
    await idp.groups(subject, ['oncall']);
    await due();
    const answers = await Promise.all(Array.from({ length: 6 }, () => me(browser)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 200));
    expect(await role(browser)).toBe('approver');
  });

  test('stay as they were while the provider is away, and are asked for again after a minute', async () => {
    const browser = await signedIn();
    await idp.groups(subject, ['oncall']);
    await idp.away(true);
    try {
      await due();
      expect(await role(browser)).toBe('operator');
    } finally {
      await idp.away(false);
    }
    expect(await role(browser)).toBe('operator');
    await due();
    expect(await role(browser)).toBe('approver');
  });

  test('are followed by a refresh token that no database has in the clear', async () => {
    await signedIn();
    const { rows } = await owner.query<{ refresh: string }>(
      'select refresh from portcullis_control.session where subject = $1',
      [subject],
    );
    expect(rows).toEqual([{ refresh: expect.stringMatching(/^[\w-]{80,}$/) as unknown }]);
  });

  test('that a tampered refresh token cannot ask for end the session', async () => {
    const browser = await signedIn();
    await owner.query(
      `update portcullis_control.session set refresh = overlay(refresh placing 'AAAA' from 40) where subject = $1`,
      [subject],
    );
    expect((await me(browser)).status).toBe(200);
    await due();
    expect((await me(browser)).body).toMatchObject({ code: 'SESSION_ENDED' });
  });
});
