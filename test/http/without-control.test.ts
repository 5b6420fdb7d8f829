import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { unlinkIdentity } from '../../src/access/identities.js';
import { revokeToken } from '../../src/access/tokens.js';
import { recordLateKills } from '../../src/containment/kill-incident.js';
import { KnownCallers } from '../../src/server/known-callers.js';
import { Provider } from '../../src/server/oidc.js';
import { testDatabase } from '../support/database.js';
import { Browser, signInSettings, startIdentityProvider } from '../support/identity-provider.js';
import { person, tokenOf } from '../support/people.js';
import { freePort } from '../support/prometheus.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { databasesAt, seedRun, serving } from './serving.js';

/** Sessions by the identity provider while the control database refuses every connection; the regions have one of their own. */

const { owner: region } = await testDatabase();
const { url: controlUrl, ...database } = await testDatabase();
const at = new URL(controlUrl);
const proxy = new TcpProxy(at.hostname, Number(at.port));
await proxy.open();
afterAll(() => proxy.cut());
const control = database.pool(proxy.through(controlUrl));
const port = await freePort();
const idp = await startIdentityProvider(`http://127.0.0.1:${port}`);
const JOB = { name: 'sweep', version: '1.1.0_0000000b', schedule: null, regions: ['eu-west-1'], kinds: [] };
const known = new KnownCallers();
const { url } = await serving(
  control,
  { regionDatabases: databasesAt(region), jobs: () => [JOB] },
  {
    port,
    known,
    provider: new Provider(
      signInSettings(idp.issuer, [{ group: 'oncall', role: 'operator', regions: null }]),
    ),
  },
);
await region.query(
  `insert into portcullis_region.gate (job, region, state, reason) values ('sweep', 'eu-west-1', 'held', 'off')`,
);
const run = await seedRun(region, { job: 'sweep' });

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function ask(browser: Browser, path: string, sent?: object): Promise<Answer> {
  const init =
    sent === undefined
      ? {}
      : {
          method: 'POST',
          headers: { origin: url, 'content-type': 'application/json' },
          body: JSON.stringify(sent),
        };
  const response = await browser.go(url + path, init);
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}
const codeOf = async (browser: Browser, path: string, sent?: object): Promise<unknown> => {
  const { status, body } = await ask(browser, path, sent);
  return [status, body['code']];
};
const OUT = [503, 'DATABASE_UNREACHABLE'];

let count = 0;
let name = '';
let browser: Browser;
/** Somebody signs in by the provider. */
beforeEach(async () => {
  await proxy.open();
  count += 1;
  name = `ann-${count}`;
  await idp.groups(`subject-${name}`, ['oncall']);
  browser = new Browser();
  await browser.signIn(`${url}/session/oidc`, `subject-${name}`, (to) => to === `${url}/`);
  expect((await ask(browser, '/api/v1/me')).body).toMatchObject({ name: `oidc:${name}` });
});

describe('with the control database down, whoever signed in by the provider', () => {
  test('reads what the regions answer, and is told what is not known', async () => {
    await proxy.cut();
    expect((await ask(browser, '/api/v1/me')).body).toMatchObject({ name: `oidc:${name}`, role: 'operator' });
    expect((await ask(browser, '/api/v1/overview')).body).toMatchObject({
      regionsAlone: true,
      unreachable: [],
      jobs: [{ job: 'sweep', gates: [{ region: 'eu-west-1', state: 'held', why: 'off', rollout: null }] }],
    });
    expect((await ask(browser, '/api/v1/status')).body).toMatchObject({
      regionsAlone: true,
      jobs: [{ job: 'sweep', regions: [{ region: 'eu-west-1', state: 'held', lastRun: { runId: run } }] }],
    });
    expect((await ask(browser, '/api/v1/gates')).body['items']).toMatchObject([{ breakGlass: null }]);
    expect((await ask(browser, '/api/v1/runs')).body['items']).toMatchObject([{ runId: run }]);
    expect((await ask(browser, `/api/v1/runs/${run}`)).status).toBe(200);
  });

  test('reads nothing of the control database’s, nor rows that would go on record, and sets nothing', async () => {
    await proxy.cut();
    for (const path of ['approvals', 'audit', 'people', `runs/${run}/changes`])
      expect([path, await codeOf(browser, `/api/v1/${path}`)]).toEqual([path, OUT]);
    const flag = { enabled: true, reason: 'x' };
    expect(await codeOf(browser, '/api/v1/flags/sweep/eu-west-1', flag)).toEqual(OUT);
  });

  test('kills with a reason, which is on record under their name once the control database is back', async () => {
    await proxy.cut();
    const killed = await ask(browser, '/api/v1/jobs/sweep/kill', { reason: 'wrong rows' });
    expect(killed).toMatchObject({
      status: 200,
      body: { killed: [{ region: 'eu-west-1' }], incident: null },
    });
    expect((await ask(browser, '/api/v1/overview')).body['jobs']).toMatchObject([
      { gates: [{ state: 'killed' }] },
    ]);
    await proxy.open();
    await region.query(`update portcullis_region.unrecorded_kill set at = at - interval '1 minute'`);
    await recordLateKills(database.owner, region);
    const { rows } = await database.owner.query(
      `select principal, evidence ->> 'reason' as reason from portcullis_control.audit where action = 'kill'`,
    );
    expect(rows).toEqual([
      { principal: `oidc:${name}`, reason: 'break-glass, without the control database: wrong rows' },
    ]);
  });

  test('is known by their cookie alone, from a page of the console', async () => {
    await proxy.cut();
    expect(await codeOf(new Browser(), '/api/v1/overview')).toEqual([401, 'TOKEN_MISSING']);
    const cookie = `portcullis-session-${port}=${'a'.repeat(43)}`;
    const stranger = await fetch(`${url}/api/v1/overview`, { headers: { cookie } });
    expect(stranger.status).toBe(503);
    const headers = { cookie: browser.cookiesFor(url), origin: 'https://evil.example' };
    expect((await fetch(`${url}/api/v1/overview`, { headers })).status).toBe(403);
  });
});

describe('a session that has ended', () => {
  test('by signing out is not revived while the control database is down', async () => {
    const cookie = browser.cookiesFor(url);
    expect((await ask(browser, '/session/end', {})).body).toMatchObject({ ended: true });
    await proxy.cut();
    expect((await fetch(`${url}/api/v1/overview`, { headers: { cookie } })).status).toBe(503);
  });

  test('by another process is not, 30 s later', async () => {
    const { token } = await tokenOf(database.owner, { name: `t-${count}`, role: 'operator' });
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${url}/api/v1/me`, { headers })).status).toBe(200);
    const admin = person('root', 'admin');
    await unlinkIdentity(database.owner, { issuer: idp.issuer, subject: `subject-${name}` }, admin);
    await revokeToken(database.owner, `t-${count}`, 'root');
    await known.recheck(control);
    await proxy.cut();
    expect(await codeOf(browser, '/api/v1/overview')).toEqual(OUT);
    expect(await codeOf(browser, '/api/v1/stop', { reason: 'x' })).toEqual(OUT);
    expect((await fetch(`${url}/api/v1/me`, { headers })).status).toBe(503);
  });

  test('stays known over a recheck where it did not end', async () => {
    await known.recheck(control);
    await proxy.cut();
    await expect(known.recheck(control)).rejects.toThrow();
    expect((await ask(browser, '/api/v1/me')).status).toBe(200);
  });

  test('by signing out meanwhile is over at once here, and everywhere once the control database is back', async () => {
    const cookie = browser.cookiesFor(url);
    const me = async (): Promise<number> => (await fetch(`${url}/api/v1/me`, { headers: { cookie } })).status;
    await proxy.cut();
    expect(await codeOf(browser, '/session/end', {})).toEqual(OUT);
    expect([browser.cookiesFor(url), await me()]).toEqual([expect.not.stringContaining('session'), 503]);
    await proxy.open();
    expect([await me(), await codeOf(browser, '/api/v1/me')]).toEqual([401, [401, 'TOKEN_MISSING']]);
    await known.recheck(control);
    const { rows } = await database.owner.query(`select from portcullis_control.session where subject = $1`, [
      `subject-${name}`,
    ]);
    expect(rows).toEqual([]);
  });
});
