import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync, inflateSync } from 'node:zlib';
import { chromium } from 'playwright-core';

/**
 * Takes the pictures of the documentation: it starts a sample world, plays the tour until logins that fail have killed a
 * gate, and interrupts it there, so that every screen has something to show.
 *
 *   npm run pictures                    those of docs/images
 *   npm run pictures -- --all FOLDER    every screen, on a desk and a phone, in both themes, to be looked at
 */

const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url));
const DOCS = fileURLToPath(new URL('../../../docs/images', import.meta.url));
const JOB = 'domain-claim';
const CANARY = 'eu-west-1';
const LIMIT_MS = 240_000;

const all = process.argv.includes('--all');
const folder = process.argv.slice(2).find((word) => !word.startsWith('--')) ?? DOCS;
const home = await mkdtemp(join(tmpdir(), 'portcullis-pictures-'));
const env = { ...process.env, PORTCULLIS_HOME: home, PORTCULLIS_HTTP: '127.0.0.1:0' };

function program(...args) {
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part) => (text += part));
  return { child, text: () => text, over: new Promise((resolve) => child.once('close', resolve)) };
}

/** Waits until `look` answers something; in vain it says for what. */
async function until(what, look) {
  for (const since = Date.now(); ;) {
    const found = await look();
    if (found) return found;
    if (Date.now() - since > LIMIT_MS) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The same picture with at most 256 colours, those that most of it has: half the size or less, and no eye sees it. */
function withFewColours(png) {
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const channels = png[25] === 6 ? 4 : 3;
  const parts = [];
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12) {
    const size = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + size));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const row = width * channels;
  const pixels = new Uint32Array(width * height);
  let above = Buffer.alloc(row);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (row + 1)];
    const line = Buffer.from(raw.subarray(y * (row + 1) + 1, (y + 1) * (row + 1)));
    for (let x = 0; x < row; x += 1) {
      const left = x < channels ? 0 : line[x - channels];
      const corner = x < channels ? 0 : above[x - channels];
      line[x] += [0, left, above[x], (left + above[x]) >> 1, paeth(left, above[x], corner)][filter];
    }
    for (let x = 0; x < width; x += 1) pixels[y * width + x] = line.readUIntBE(x * channels, 3);
    above = line;
  }
  const counts = new Map();
  for (const colour of pixels) counts.set(colour, (counts.get(colour) ?? 0) + 1);
  const palette = [...counts]
    .sort((one, other) => other[1] - one[1])
    .slice(0, 256)
    .map(([colour]) => colour);
  const nearest = new Map();
  for (const colour of counts.keys()) {
    const distances = palette.map((each) => distance(each, colour));
    nearest.set(colour, distances.indexOf(Math.min(...distances)));
  }
  const lines = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) lines[y * (width + 1) + 1 + x] = nearest.get(pixels[y * width + x]);
  const head = Buffer.from(png.subarray(16, 29));
  head.set([8, 3], 8);
  const colours = Buffer.from(palette.flatMap((each) => [each >> 16, (each >> 8) & 255, each & 255]));
  return Buffer.concat([
    png.subarray(0, 8),
    ...[
      ['IHDR', head],
      ['PLTE', colours],
      ['IDAT', deflateSync(lines, { level: 9 })],
      ['IEND', Buffer.alloc(0)],
    ].map(([name, data]) => chunk(name, data)),
  ]);
}

function paeth(left, above, corner) {
  const [a, b, c] = [left, above, corner].map((each) => Math.abs(left + above - corner - each));
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

const distance = (one, other) =>
  [16, 8, 0].reduce((sum, bits) => sum + (((one >> bits) & 255) - ((other >> bits) & 255)) ** 2, 0);

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

const shoot = async (page, name) => {
  const png = await page.screenshot({ fullPage: all });
  await writeFile(join(folder, `${name}.png`), all ? png : withFewColours(png));
};

await mkdir(folder, { recursive: true });
const server = program('start', '--sample', '--run-now');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
try {
  await until('the first runs are over', () => server.text().includes('next run of'));
  const [, url] = /^http +(\S+)/m.exec(server.text());
  const token = (await readFile(join(home, 'admin-token'), 'utf8')).trim();
  const api = async (path, body) => {
    const response = await fetch(`${url}/api/v1${path}`, {
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return response.json();
  };

  // A window for each look, so that what passes quickly can be taken in all of them.
  const looks = [];
  for (const colorScheme of ['light', 'dark']) {
    for (const viewport of [
      { width: 1440, height: 900 },
      { width: 390, height: 844 },
    ]) {
      const context = await browser.newContext({
        baseURL: url,
        colorScheme,
        viewport,
        reducedMotion: 'reduce',
      });
      await context.request.post('/session', { data: { token }, headers: { origin: url } });
      const page = await context.newPage();
      await page.goto('/');
      looks.push({ name: `${viewport.width}-${colorScheme}`, page, isPhone: viewport.width < 600 });
    }
  }

  /** A picture of a screen by each look: the window's, or all of the page with --all. `docs` names the looks that the documentation has. */
  const take = async (name, path, { shows, docs = ['1440-light'], prepare } = {}) => {
    for (const { name: look, page } of looks) {
      if (!all && !docs.includes(look)) continue;
      if (path !== undefined) await page.goto(path);
      await page.locator('main.live').waitFor();
      if (shows !== undefined) {
        const shown = page.getByText(shows).or(page.getByRole('region', { name: shows }));
        await until(`${path} is read`, async () => (await page.locator('.loading').count()) === 0);
        await shown.first().waitFor({ state: 'attached' });
      }
      await prepare?.(page);
      const file = all
        ? `${name}-${look}`
        : docs.length > 1 && look !== docs[0]
          ? `console-${name}-${look}`
          : `console-${name}`;
      await shoot(page, file);
    }
    console.log(name);
  };

  if (all) {
    await take('empty-tour', '/tour');
    await take('empty-rollouts', '/rollouts');
    await take('empty-incidents', '/incidents');
    await take('empty-inbox', '/inbox');
    await take('empty-units', '/units');
  }

  const tour = program('tour', '--json');
  const [{ page: first }] = looks;
  for (const { page } of looks) await page.goto(`/rollouts/${JOB}`);
  await first.goto('/tour');
  await first.locator('[data-act="good"][aria-current="step"]').waitFor({ timeout: LIMIT_MS });
  await first.goto(`/rollouts/${JOB}`);
  await first.locator('[data-part="us-east-1"].part-baking').waitFor({ timeout: LIMIT_MS });
  await take('rollout', undefined);
  await take('now-rolling', '/', { shows: 'Rolling out', docs: [] });
  await first.goto('/tour');
  await first.locator('[data-act="logins"][aria-current="step"]').waitFor({ timeout: LIMIT_MS });
  const incident = await until('logins that fail kill the gate', async () =>
    (await api('/incidents')).items.find(({ version }) => version?.startsWith('1.3.0')),
  );
  // Here it stands still: it would restore what was damaged, and close the incident.
  tour.child.kill('SIGSTOP');
  await take('tour', '/tour', { shows: 'is everywhere', docs: ['1440-light', '390-dark'] });
  await until('its damage is counted', async () => (await api(`/incidents/${incident.id}`)).impact.units > 0);
  tour.child.kill('SIGINT');
  tour.child.kill('SIGCONT');
  await tour.over;
  await api(`/jobs/${JOB}/rearm`, { region: CANARY, reason: 'The lost condition is back in 1.3.1.' });
  const { runId } = (await api('/runs?limit=50')).items.find(({ version }) => version.startsWith('1.3.0'));
  const { unit } = (await api(`/runs/${runId}/changes?limit=1`)).items[0];

  await take('now', '/', { shows: 'Killed', docs: ['1440-dark', '390-light'] });
  await take('gate', `/now/${JOB}/${CANARY}`, { shows: 'Last runs', docs: [] });
  await take('inbox', '/inbox', { shows: 'Re-arm', docs: ['1440-light'] });
  await take('rollouts', '/rollouts', { docs: [] });
  await take('rollout-aborted', `/rollouts/${JOB}`, { docs: [] });
  await take('runs', '/runs', { shows: runId.slice(0, 8), docs: [] });
  await take('run', `/runs/${runId}`, { shows: 'The chosen change', docs: ['1440-light'] });
  await take('flags', '/flags', { shows: CANARY, docs: [] });
  await take('flag', `/flags/${JOB}/${CANARY}`, { shows: 'History', docs: ['1440-light'] });
  await take('incidents', '/incidents', { docs: [] });
  await take('incident', `/incidents/${incident.id}`, {
    shows: 'Runbook',
    docs: ['1440-light', '390-light'],
  });
  await take('unit', `/units?q=${unit}`, { shows: runId.slice(0, 8) });
  await take('record', '/record', { shows: 'Workers', docs: ['1440-light'] });
  await take('not-found', '/no-such-screen', { docs: [] });
  const dialog = async (name, key) =>
    take(`dialog-${name}`, '/', { shows: CANARY, docs: [], prepare: (page) => page.keyboard.press(key) });
  await dialog('kill', 'k');
  await dialog('keys', '?');
  await dialog('find', 'Control+k');
  if (all) {
    await take('dialog-restore', `/incidents/${incident.id}`, {
      shows: 'Put it back…',
      prepare: (page) => page.getByRole('button', { name: 'Put it back…' }).click(),
    });
    await take('dialog-approve', '/inbox', {
      shows: 'Approve…',
      prepare: async (page) => {
        const button = page.getByRole('button', { name: 'Approve…' }).first();
        if (await button.isEnabled()) await button.click();
      },
    });
  }
  for (const { name, page } of looks) {
    await page.context().clearCookies();
    await page.goto('/');
    await page.getByLabel('Token').waitFor();
    if (all || name === '1440-light') await shoot(page, all ? `sign-in-${name}` : 'console-sign-in');
  }
} finally {
  await browser.close();
  server.child.kill('SIGTERM');
  await server.over;
  await rm(home, { recursive: true, force: true });
}
