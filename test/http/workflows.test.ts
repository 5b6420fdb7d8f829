import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { linkIdentity } from '../../src/access/identities.js';
import type { WorkflowTrust } from '../../src/access/identity-file.js';
import { removePerson } from '../../src/access/people.js';
import { requireSecond } from '../../src/access/second-person.js';
import { principalOfToken } from '../../src/access/tokens.js';
import { Workflows } from '../../src/access/workflows.js';
import { forgedTokens } from '../support/forged-tokens.js';
import { startIdentityProvider } from '../support/identity-provider.js';
import { testDatabase } from '../support/database.js';
import { person, tokenOf } from '../support/people.js';
import { temporaryFolder } from '../support/portcullis.js';
import { runAt } from './remote.js';
import { answerOf, hearFlags, post, serving, type Answer } from './serving.js';

/** Tokens as GitHub and GitLab make them, of a real issuer with its own keys. */

const { owner } = await testDatabase();
const idp = await startIdentityProvider('http://127.0.0.1:1');
const AUDIENCE = 'https://portcullis.example';
const trust = (name: string, claims: WorkflowTrust['claims'], actor = 'actor_id'): WorkflowTrust => ({
  ...{ name, issuer: idp.issuer, audience: AUDIENCE, claims, actor, minutes: 15 },
});
const flags = await hearFlags(owner);
const served = await serving(owner, {
  flags: flags.desk,
  workflows: new Workflows([
    trust('release', { repository: ['acme/gates'], ref: ['refs/heads/main', 'refs/heads/release'] }),
    trust('pipeline', { project_path: ['acme/gates'] }, 'user_id'),
  ]),
});

let count = 0;
let name = '';
beforeEach(async () => {
  count += 1;
  name = `bob-${count}`;
  await tokenOf(owner, { name, role: 'approver' });
  await linkIdentity(owner, { name, issuer: idp.issuer, subject: `100${count}` }, person('root', 'admin'));
});

const github = (claims: object = {}): Promise<string> =>
  idp.mint({
    ...{ aud: AUDIENCE, sub: 'repo:acme/gates:ref:refs/heads/main', repository: 'acme/gates' },
    ...{ ref: 'refs/heads/main', actor: 'octocat', actor_id: `100${count}`, run_id: '77', ...claims },
  });
const exchange = async (token: string): Promise<Answer> =>
  answerOf(await fetch(`${served.url}/exchange`, post({ token })));
async function given(token: string) {
  const { status, body } = await exchange(token);
  expect({ status, body }).toMatchObject({ status: 200 });
  const secret = String(body['token']);
  const call = async (path: string, init: RequestInit = {}): Promise<Answer> => {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${secret}`);
    return answerOf(await fetch(served.url + path, { ...init, headers }));
  };
  return { secret, body, call };
}

describe('a workflow’s own token', () => {
  test('is exchanged for one that may look, apply policies, start rollouts and kill, and nothing else', async () => {
    const { body, call } = await given(await github());
    expect(body).toMatchObject({ role: 'deployer', person: name });
    expect(Date.parse(String(body['expiresAt'])) - Date.now()).toBeGreaterThan(14 * 60_000);
    const me = (await call('/api/v1/me')).body as { may: { action: string }[]; person: unknown };
    expect(me.person).toBeNull();
    expect(me.may.map(({ action }) => action).sort()).toEqual([
      ...['apply-policy', 'cancel', 'kill', 'read', 'start-rollout'],
    ]);
    const refused = await call('/api/v1/flags/domain-claim/eu-west-1', post({ enabled: true, reason: 'x' }));
    expect(refused).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    const { rows } = await owner.query(
      `select subject, evidence -> 'workflow' ->> 'repository' as repository, evidence ->> 'person' as person
       from portcullis_control.audit where action = 'issue-token' and subject = $1`,
      [body['name']],
    );
    expect(rows).toEqual([{ subject: body['name'], repository: 'acme/gates', person: name }]);
  });

  test('of GitLab too, by the id of its user', async () => {
    const token = await idp.mint({ aud: AUDIENCE, project_path: 'acme/gates', user_id: `100${count}` });
    expect((await given(token)).body).toMatchObject({ person: name });
  });

  test('is good once', async () => {
    const token = await github();
    await given(token);
    expect(await exchange(token)).toMatchObject({
      status: 403,
      body: { detail: 'the workflow is not trusted: its token was used before, and is good once' },
    });
    const both = await Promise.all([github(), github()].map(async (each) => exchange(await each)));
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
  });

  const now = Math.floor(Date.now() / 1000);
  test.each([
    ['another audience', { aud: 'https://other.example' }, /unexpected "aud"/],
    ['another repository', { repository: 'acme/fork' }, /release wants repository acme\/gates/],
    ['another branch', { ref: 'refs/heads/x' }, /wants ref refs\/heads\/main or refs\/heads\/release/],
    ['another issuer', { iss: 'https://evil.example' }, /no workflows of https:\/\/evil\.example/],
    ['an age of an hour', { iat: now - 3_600 }, /"iat" claim timestamp check failed/],
    ['an end that has passed', { exp: now - 60 }, /"exp" claim timestamp check failed/],
    ['nobody whom we know', { actor_id: '999' }, /nobody is known as 999 of .* \(octocat\)/],
    ['no actor', { actor_id: undefined }, /no claim actor_id/],
  ])('with %s is refused', async (_, claims, why) => {
    const { status, body } = await exchange(await github(claims));
    expect({ status, code: body['code'] }).toEqual({ status: 403, code: 'WORKFLOW_REFUSED' });
    expect(body['detail']).toMatch(why);
  });

  test('that was made with the issuer’s public key, or with none, is refused', async () => {
    for (const [how, forged] of await forgedTokens(idp.issuer, await github()))
      expect([how, (await exchange(forged)).status]).toEqual([how, 403]);
  });

  test('that was changed, or is none, is refused', async () => {
    const [head, , signature] = (await github()).split('.');
    const body = Buffer.from(JSON.stringify({ iss: idp.issuer, aud: AUDIENCE, repository: 'acme/gates' }));
    for (const token of [`${head}.${body.toString('base64url')}.${signature}`, 'none', 'a.b.c'])
      expect((await exchange(token)).body).toMatchObject({ code: 'WORKFLOW_REFUSED' });
  });
});

describe('what it is exchanged for', () => {
  test('ends by itself, and with its person', async () => {
    const first = await given(await github());
    await owner.query(
      `update portcullis_control.api_token set expires_at = clock_timestamp() where name = $1`,
      [first.body['name']],
    );
    expect((await first.call('/api/v1/me')).status).toBe(401);
    expect(await principalOfToken(owner, first.secret, { touch: false })).toBeUndefined();
    const second = await given(await github());
    await removePerson(owner, name, person('root', 'admin'));
    expect((await second.call('/api/v1/me')).status).toBe(401);
    expect((await exchange(await github())).body).toMatchObject({ code: 'WORKFLOW_REFUSED' });
  });

  test('counts as its person’s: they approve nothing that it asks for, and somebody else does', async () => {
    const holder = await principalOfToken(owner, (await given(await github())).secret);
    const asked = { what: 'the rollout', by: holder?.name ?? '', hands: holder?.hands ?? [], at: new Date() };
    await expect(requireSecond(owner, asked, person(name, 'approver'))).rejects.toMatchObject({
      code: 'APPROVAL_SELF',
    });
    await tokenOf(owner, { name: 'carol', role: 'approver' });
    await expect(requireSecond(owner, asked, person('carol', 'approver'))).resolves.toMatchObject({});
    if (holder === undefined) throw new Error('the token is not known');
    await expect(requireSecond(owner, { ...asked, by: 'x', hands: [] }, holder)).rejects.toMatchObject({
      code: 'MACHINE_CANNOT_APPROVE',
    });
  });
});

describe('portcullis login --ci', () => {
  const runner = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://runner');
    const isAsked = request.headers.authorization === 'Bearer runner' && url.searchParams.get('v') === '2';
    const mint = isAsked ? github({ aud: url.searchParams.get('audience') }) : Promise.resolve(undefined);
    void mint.then((value) => {
      response.writeHead(value === undefined ? 401 : 200).end(JSON.stringify({ value }));
    });
  });
  const names = [
    'ACTIONS_ID_TOKEN_REQUEST_URL',
    'ACTIONS_ID_TOKEN_REQUEST_TOKEN',
    'PORTCULLIS_ID_TOKEN',
  ] as const;
  // An empty variable is none.
  afterEach(() => names.forEach((each) => (process.env[each] = '')));
  afterAll(() => new Promise((resolve) => runner.close(resolve)));

  const login = async (...more: string[]) => {
    const credentialsFile = join(await temporaryFolder(), 'portcullis', 'credentials.json');
    const ran = await runAt({ credentialsFile }, ['login', served.url, '--ci', ...more]);
    return { ...ran, credentialsFile };
  };

  test('asks GitHub’s runner for the token, exchanges it, and keeps what it gets', async () => {
    await new Promise<void>((resolve) => runner.listen(0, '127.0.0.1', resolve));
    const { port } = runner.address() as AddressInfo;
    process.env['ACTIONS_ID_TOKEN_REQUEST_URL'] = `http://127.0.0.1:${port}/?v=2`;
    process.env['ACTIONS_ID_TOKEN_REQUEST_TOKEN'] = 'runner';
    const { exit, err, out, credentialsFile } = await login('--audience', AUDIENCE);
    expect({ exit, err }).toMatchObject({
      exit: 0,
      err: expect.stringMatching(new RegExp(`acting as ci-release-\\w+, for ${name}, until`)) as unknown,
    });
    expect(out + err).not.toMatch(/pcl_|eyJ/);
    const kept = JSON.parse(await readFile(credentialsFile, 'utf8')) as { token: string };
    expect(await principalOfToken(owner, kept.token)).toMatchObject({ role: 'deployer' });
    process.env['ACTIONS_ID_TOKEN_REQUEST_TOKEN'] = 'wrong';
    expect(await login()).toMatchObject({
      exit: 1,
      err: expect.stringContaining('id-token: write') as unknown,
    });
  });

  test('takes GitLab’s from its variable, and says what is missing where there is none', async () => {
    expect((await login()).err).toContain('there is no token of a workflow here');
    process.env['PORTCULLIS_ID_TOKEN'] = await github();
    expect((await login()).exit).toBe(0);
    expect(await login()).toMatchObject({ exit: 4, err: expect.stringContaining('used before') as unknown });
  });
});
