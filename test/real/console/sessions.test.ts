import { gzipSync } from 'node:zlib';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { BrowserContext, Page } from 'playwright-core';
import { createSignInCode } from '../../../src/access/sessions.js';
import { principalOfToken, revokeToken } from '../../../src/access/tokens.js';
import { tokenOf } from '../../support/people.js';
import { portcullis, temporaryFolder, untilWith } from '../../support/portcullis.js';
import { freePort } from '../../support/prometheus.js';
import { testDatabase } from '../../support/database.js';
import { databasesAt, serving } from '../../http/serving.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../support/until.js';
import {
  closeAll,
  CONSOLE,
  database,
  owner,
  seedGate,
  seedJob,
  served,
  signedIn,
  visit,
  watchFaults,
  type Visit,
} from './opened.js';

/** Who is signed in, and whether what they see is current. */

const JOB = 'sweep-logs';

// A server whose control database can be cut off, while its regions have one of their own.
const { owner: region } = await testDatabase();
const control = await testDatabase();
const way = new TcpProxy('127.0.0.1', Number(new URL(control.url).port));
await way.open();
afterAll(() => way.cut());
const apart = await serving(
  control.pool(way.through(control.url)),
  {
    regionDatabases: databasesAt(region),
    jobs: () => [{ name: JOB, version: '1.0.0_0000000a', schedule: null, regions: ['eu-west-1'], kinds: [] }],
  },
  { console: CONSOLE },
);

beforeAll(async () => {
  await seedJob(JOB, ['eu-west-1']);
  await seedGate({ job: JOB, region: 'eu-west-1' });
});
afterEach(closeAll);

const gate = (page: Page) => page.locator(`[data-gate="${JOB} eu-west-1"]`);
const isLive = (page: Page) => page.locator('main.live').waitFor();
const isGrey = (page: Page) => page.locator('main.not-live').waitFor();
const kill = (): Promise<unknown> =>
  owner.query(
    `update portcullis_region.gate set state = 'killed', killed_by = 'bob', killed_at = clock_timestamp() where job = $1`,
    [JOB],
  );
const reopen = (): Promise<unknown> =>
  owner.query(`update portcullis_region.gate set state = 'open' where job = $1`, [JOB]);

/** A page of the same browser, on Now. */
async function another(context: BrowserContext, faults: string[]): Promise<Page> {
  const page = await context.newPage();
  watchFaults(page, faults);
  await page.goto('/');
  await gate(page).waitFor();
  return page;
}

/** As the browser does when another tab or window covers it; nothing a test can reach does that without a screen. */
const seen = (page: Page, state: 'visible' | 'hidden'): Promise<unknown> =>
  page.evaluate(
    `Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => '${state}' });
     document.dispatchEvent(new Event('visibilitychange'))`,
  );

/** What the browser tells a page that it freezes or thaws: without a screen it does neither. */
const told = (page: Page, what: 'freeze' | 'resume'): Promise<unknown> =>
  page.evaluate(`document.dispatchEvent(new Event('${what}'))`);

describe('signing in', () => {
  test('takes a token; a wrong one is refused with what to do, and the page tells nothing', async () => {
    const { token } = await tokenOf(owner, { name: 'by-token', role: 'viewer' });
    const { page, context, faults } = await visit();
    await page.goto(`/now/${JOB}/eu-west-1`);
    await page.getByLabel('Token').fill('pcl_wrong');
    await page.keyboard.press('Enter');
    await page.getByText('That token is unknown or was revoked.').waitFor();
    expect(await page.locator('[data-gate]').count()).toBe(0);
    await page.getByLabel('Token').fill(token);
    await page.keyboard.press('Enter');
    // A pasted link leads where it should, once signed in.
    await page.getByRole('complementary', { name: 'eu-west-1' }).waitFor();
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/' });
    expect(faults).toEqual([]);
  });

  test('by a link works once; its code is in no address, log or history', async () => {
    const { token } = await tokenOf(owner, { name: 'by-link', role: 'viewer' });
    const holder = await principalOfToken(owner, token);
    if (holder === undefined) throw new Error('the token is not known');
    const { code } = await createSignInCode(owner, holder);
    const { page, faults } = await visit();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(`/sign-in#${code}`);
    await gate(page).waitFor();
    expect(page.url()).toBe(`${served.url}/`);
    expect(asked.map((url) => new URL(url).pathname).join()).not.toContain(code);
    expect(served.logged.join('')).not.toContain(code);
    expect(faults).toEqual([]);
    const again = await visit();
    await again.page.goto(`/sign-in#${code}`);
    await again.page.getByText('portcullis open prints another').waitFor();
  });

  test('out ends the session in every tab', async () => {
    const { page, context, faults } = await signedIn();
    const other = await another(context, faults);
    await isLive(page);
    await isLive(other);
    await page.getByLabel(/^Signed in as/).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You signed out.').waitFor();
    await other.getByText('You signed out.').waitFor();
    await page.reload();
    await page.getByLabel('Token').waitFor();
    expect(faults).toEqual([]);
  });

  test('ends at once where the token is revoked while the page is open', async () => {
    await reopen();
    const { page, context, faults, name } = await signedIn();
    const other = await another(context, faults);
    await isLive(page);
    await isLive(other);
    await revokeToken(owner, name, 'test');
    await kill();
    await page.getByText('Your session has ended.').waitFor();
    await other.getByText('Your session has ended.').waitFor();
    expect(await page.locator('[data-gate]').count()).toBe(0);
  });
});

describe('a page', () => {
  test.each(['cut off', 'silent'])('whose server is %s turns grey, and catches up by itself', async (how) => {
    await reopen();
    const way = new TcpProxy('127.0.0.1', Number(new URL(served.url).port));
    await way.open();
    const { page } = await signedIn('operator', { baseURL: `http://127.0.0.1:${way.port}` });
    await isLive(page);
    await gate(page).locator('.state-open').waitFor();
    // The page's clock stands still, so that the age of what it heard does not hang on how fast this machine is.
    const heard = Date.now();
    await page.clock.setFixedTime(heard);
    await kill();
    await gate(page).locator('.state-killed').waitFor();
    if (how === 'silent') way.stall({ newToo: true });
    else await way.cut();
    // It looks at its clock twice a second: two seconds old is live, as the server is heard once a second.
    await page.clock.setFixedTime(heard + 2_000);
    await page.evaluate('new Promise((looked) => setTimeout(looked, 600))');
    expect(await page.locator('main.live').count()).toBe(1);
    // Seen half a second later at most, and so within 3 s.
    await page.clock.setFixedTime(heard + 2_500);
    await isGrey(page);
    await page.clock.setFixedTime(Date.now());
    await reopen();
    expect(await page.getByText(/^Not live since \d\d:\d\d:\d\d UTC/).count()).toBe(1);
    await way.open();
    await gate(page).locator('.state-open').waitFor();
    await isLive(page);
    await closeAll();
    await way.cut();
  });

  test('that is opened beside another follows by the other’s stream, and takes it over', async () => {
    await reopen();
    const { page: first, context, faults } = await signedIn();
    await isLive(first);
    const streams: string[] = [];
    context.on('request', (request) => {
      if (request.url().includes('/events/stream'))
        streams.push(request.frame().page() === first ? 'a' : 'b');
    });
    const second = await another(context, faults);
    await isLive(second);
    await kill();
    await gate(first).locator('.state-killed').waitFor();
    await gate(second).locator('.state-killed').waitFor();
    expect(streams).toEqual([]);
    await seen(first, 'hidden');
    await until('the second tab has the stream', () => streams.includes('b'));
    await isLive(second);
    await reopen();
    await gate(second).locator('.state-open').waitFor();
    expect(streams).toEqual(['b']);
    await until('one stream is followed', () => served.deps.feed.followers === 1);
    // Nobody sees it: nothing is followed.
    await seen(second, 'hidden');
    await until('no stream is followed', () => served.deps.feed.followers === 0);
    await seen(first, 'visible');
    await isLive(first);
    await gate(first).locator('.state-open').waitFor();
    // A browser freezes tabs to save power: the first lets go of the stream, and catches up when it thaws.
    await seen(second, 'visible');
    await isLive(second);
    const had = streams.filter((each) => each === 'b').length;
    await told(first, 'freeze');
    await until('the second tab has it again', () => streams.filter((each) => each === 'b').length > had);
    await until('one stream is followed', () => served.deps.feed.followers === 1);
    await kill();
    await gate(second).locator('.state-killed').waitFor();
    await told(first, 'resume');
    await gate(first).locator('.state-killed').waitFor();
    await isLive(first);
    expect(faults).toEqual([]);
  });
});

/** Somebody at another server, signed in by a token, with the gate on the screen. */
async function signedInAt(url: string, token: string): Promise<Visit> {
  const window = await visit({ baseURL: url });
  const response = await window.context.request.post('/session', {
    data: { token },
    headers: { origin: url },
  });
  if (!response.ok()) throw new Error(await response.text());
  await window.page.goto('/');
  await gate(window.page).waitFor();
  return window;
}

test('a server that shuts down ends its streams and exits; the page turns grey, and the next server makes it current', async () => {
  await reopen();
  const { token } = await tokenOf(owner, { name: 'stays-open', role: 'operator' });
  const port = await freePort();
  const home = await temporaryFolder();
  const start = () =>
    portcullis(['start', '--json'], {
      env: {
        ...{ PORTCULLIS_DATABASE_URL: database.url, PORTCULLIS_HOME: home, PORTCULLIS_LOG_LEVEL: 'warn' },
        ...{ PORTCULLIS_FLAGS: home, PORTCULLIS_HTTP: `127.0.0.1:${port}` },
      },
    });
  const url = `http://127.0.0.1:${port}`;
  const answers = (server: ReturnType<typeof start>): Promise<unknown> =>
    untilWith(server, 'the server answers', () =>
      fetch(`${url}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
  const first = start();
  await answers(first);
  const { page, faults } = await signedInAt(url, token);
  // Another follower, which sees how its stream ends: a connection that is cut off would be an error.
  const stream = await fetch(`${url}/api/v1/events/stream`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const ended = stream.text();
  await isLive(page);
  await gate(page).locator('.state-open').waitFor();

  first.child.kill('SIGTERM');
  // Whoever waits for an open page would be killed by what started it.
  expect(await first.finished).toMatchObject({ code: 0, signal: null });
  expect(await ended).toMatch(/^retry: \d+\n/);
  await isGrey(page);
  // What happens while no server is there is not lost.
  await kill();
  expect(await gate(page).locator('.state-open').count()).toBe(1);

  const second = start();
  await answers(second);
  await gate(page).locator('.state-killed').waitFor();
  await isLive(page);
  await reopen();
  await gate(page).locator('.state-open').waitFor();
  expect(faults).toEqual([]);
  await closeAll();
  second.child.kill('SIGTERM');
  await second.finished;
});

test('while the control database is down, the page says so, shows what regions answer, and kills', async () => {
  await region.query(
    `insert into portcullis_region.gate (job, region, state, reason) values ($1, 'eu-west-1', 'held', 'off')`,
    [JOB],
  );
  const { token } = await tokenOf(control.owner, { name: 'on-call', role: 'operator' });
  const { page } = await signedInAt(apart.url, token);
  await gate(page).locator('.state-held').waitFor();
  expect(await page.getByRole('alert').count()).toBe(0);
  await way.cut();
  const banner = page.getByRole('alert').getByText('The control database does not answer.');
  await banner.waitFor();
  await gate(page).locator('.state-held').waitFor();
  // Also whoever opens it only now.
  await page.reload();
  await banner.waitFor();
  await gate(page).locator('.state-held').waitFor();

  await page.getByRole('banner').getByRole('button', { name: 'Kill…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Kill' });
  await dialog.getByLabel('Reason').fill('wrong rows');
  await dialog.getByRole('button', { name: 'Kill 1 gate' }).click();
  const result = page.getByRole('status', { name: 'Result' });
  await result.getByText('eu-west-1: killed').waitFor();
  await result.getByText('Not on record yet').waitFor();
  await page.keyboard.press('Escape');
  await gate(page).locator('.state-killed').waitFor();
  const { rows } = await region.query(`select state from portcullis_region.gate where job = $1`, [JOB]);
  expect(rows).toEqual([{ state: 'killed' }]);

  await way.open();
  await banner.waitFor({ state: 'detached' });
  await isLive(page);
});

/** What comes to a browser with nothing in its cache before it shows a gate, answers of the API aside; and how files come. */
async function received(): Promise<{ sent: number; encodings: Map<string, string | undefined> }> {
  const { page } = await signedIn();
  const wire = await page.context().newCDPSession(page);
  const files = new Map<string, number>();
  const encodings = new Map<string, string | undefined>();
  let sent = 0;
  wire.on('Network.responseReceived', ({ requestId, response }) => {
    const path = new URL(response.url).pathname;
    // So far only what HTTP says of it.
    if (!path.startsWith('/api/')) files.set(requestId, response.encodedDataLength);
    const header = Object.entries(response.headers).find(([name]) => /^content-encoding$/i.test(name));
    encodings.set(path.replace('/assets/', ''), header?.[1]);
  });
  wire.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    sent += encodedDataLength - (files.get(requestId) ?? encodedDataLength);
  });
  await wire.send('Network.enable');
  await wire.send('Network.setCacheDisabled', { cacheDisabled: true });
  await page.reload();
  await gate(page).waitFor();
  return { sent, encodings };
}

test('what a browser loads first is at most 60 kB, compressed, kept for ever, and the page for no time', async () => {
  const files = readdirSync(`${CONSOLE}/assets`);
  const page = readFileSync(`${CONSOLE}/index.html`, 'utf8');
  const first = files.filter((file) => page.includes(file));
  expect(first).toHaveLength(2);
  const bytes = first.map((file) => gzipSync(readFileSync(`${CONSOLE}/assets/${file}`)).length);
  expect(bytes.reduce((sum, each) => sum + each, gzipSync(page).length)).toBeLessThan(60_000);
  const { sent, encodings } = await received();
  expect(sent).toBeLessThan(60_000);
  expect(sent).toBeGreaterThan(20_000);
  expect(encodings.get(first.find((file) => file.endsWith('.js')) ?? '')).toBe('br');
  expect(encodings.get(first.find((file) => file.endsWith('.css')) ?? '')).toBe('br');
  const asset = await fetch(`${served.url}/assets/${first[0] ?? ''}`);
  expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  const shell = await fetch(served.url);
  expect(shell.headers.get('cache-control')).toBe('no-cache');
  expect(shell.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self'/);
  expect(shell.headers.get('content-security-policy')).not.toContain('upgrade-insecure-requests');
});
