import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { request as send, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EventFeed } from '../../src/events/follow.js';
import { outboxesOf } from '../../src/regions/outboxes.js';
import { encodingFor, type Encoding } from '../../src/server/compression.js';
import { testDatabase } from '../support/database.js';
import { databasesAt, hearFlags, serving } from './serving.js';

/** What is sent compressed, by the bytes that come over the wire. */

const folder = mkdtempSync(join(tmpdir(), 'portcullis-console-'));
const SCRIPT = Buffer.from(`export const words = ${JSON.stringify('a band, a bar; '.repeat(2_000))};`);
mkdirSync(join(folder, 'assets'));
writeFileSync(join(folder, 'index.html'), '<!doctype html><title>Console</title>');
writeFileSync(join(folder, 'assets/main-1.js'), SCRIPT);
writeFileSync(join(folder, 'assets/main-1.js.br'), brotliCompressSync(SCRIPT));
writeFileSync(join(folder, 'assets/main-1.js.gz'), gzipSync(SCRIPT));
writeFileSync(join(folder, 'assets/small-1.js'), 'export const one = 1;');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { owner } = await testDatabase();
const served = await serving(
  owner,
  { flags: (await hearFlags(owner)).desk, feed: new EventFeed(() => outboxesOf(owner, databasesAt(owner))) },
  { console: folder },
);

beforeAll(async () => {
  await owner.query(
    `insert into portcullis_region.gate (job, region, state, permit_until, reason_code, reason)
     select 'job-' || n % 10, 'region-' || n, 'open', clock_timestamp() + interval '1 hour', 'test', ''
     from generate_series(1, 300) as n`,
  );
});

interface Wire {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Nothing is decoded on the way, as `fetch` does. */
const wire = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Wire> =>
  new Promise((resolve, reject) => {
    const authorization = `Bearer ${served.token}`;
    send(new URL(path, served.url), { method, headers: { authorization, ...headers } }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.once('error', reject);
      answer.once('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          body: Buffer.concat(chunks),
        }),
      );
    })
      .once('error', reject)
      .end();
  });
const accept = (encodings: string) => ({ 'accept-encoding': encodings });
const decoded = ({ headers, body }: Wire): Buffer =>
  headers['content-encoding'] === 'br'
    ? brotliDecompressSync(body)
    : headers['content-encoding'] === 'gzip'
      ? gunzipSync(body)
      : body;

test.each<[string | undefined, readonly Encoding[] | undefined, Encoding | undefined]>([
  [undefined, undefined, undefined],
  ['', undefined, undefined],
  ['gzip, deflate, br, zstd', undefined, 'br'],
  ['gzip', undefined, 'gzip'],
  ['GZIP ; Q=0.5', undefined, 'gzip'],
  ['br;q=0.1, gzip;q=0.9', undefined, 'gzip'],
  ['br;q=0, gzip', undefined, 'gzip'],
  ['br;q=0, gzip;q=0', undefined, undefined],
  ['*', undefined, 'br'],
  ['*;q=0', undefined, undefined],
  ['br;q=0, *', undefined, 'gzip'],
  ['identity, br;q=0.5', undefined, undefined],
  ['identity;q=0.5, gzip', undefined, 'gzip'],
  ['br;q=nonsense', undefined, undefined],
  ['br;q=1.5', undefined, undefined],
  ['br, gzip', ['gzip'], 'gzip'],
  ['br', [], undefined],
])('a client that accepts %j is sent, of %j, %j', (accepted, available, encoding) => {
  expect(encodingFor(accepted, available)).toBe(encoding);
});

describe('a file of the console', () => {
  test('is sent as it was compressed once, kept for ever by its encoding', async () => {
    const [plain, gz, br] = await Promise.all(
      ['identity', 'gzip', 'gzip, deflate, br'].map((each) => wire('/assets/main-1.js', accept(each))),
    );
    expect([plain, gz, br].map((each) => each?.headers['content-encoding'])).toEqual([
      undefined,
      'gzip',
      'br',
    ]);
    for (const each of [plain, gz, br]) {
      if (each === undefined) throw new Error('not answered');
      expect(decoded(each).equals(SCRIPT)).toBe(true);
      expect(each.headers).toMatchObject({
        'content-type': 'text/javascript; charset=utf-8',
        'cache-control': 'public, max-age=31536000, immutable',
        'content-length': String(each.body.length),
        'x-content-type-options': 'nosniff',
        vary: expect.stringMatching(/accept-encoding/i) as unknown,
      });
    }
    expect(br?.body.length).toBeLessThan(SCRIPT.length / 10);
    expect(new Set([plain, gz, br].map((each) => each?.headers.etag)).size).toBe(3);
  });

  test('is known again by its etag, and asked for by its head or in part', async () => {
    const whole = await wire('/assets/main-1.js', accept('br'));
    const known = await wire('/assets/main-1.js', {
      ...accept('br'),
      'if-none-match': whole.headers.etag ?? '',
    });
    expect([known.status, known.body.length]).toEqual([304, 0]);
    // That of another encoding is another.
    const other = await wire('/assets/main-1.js', {
      ...accept('gzip'),
      'if-none-match': whole.headers.etag ?? '',
    });
    expect([other.status, other.headers['content-encoding']]).toEqual([200, 'gzip']);
    const head = await wire('/assets/main-1.js', accept('br'), 'HEAD');
    expect([head.body.length, head.headers['content-length'], head.headers['content-encoding']]).toEqual([
      0,
      String(whole.body.length),
      'br',
    ]);
    const part = await wire('/assets/main-1.js', { ...accept('br'), range: 'bytes=2-5' });
    expect([part.status, part.headers['content-range']]).toEqual([206, `bytes 2-5/${whole.body.length}`]);
    expect(part.body.equals(whole.body.subarray(2, 6))).toBe(true);
    const beyond = await wire('/assets/main-1.js', { ...accept('br'), range: 'bytes=999999-' });
    expect(beyond.status).toBeGreaterThanOrEqual(400);
    expect(beyond.headers['content-encoding']).toBeUndefined();
    expect(JSON.parse(beyond.body.toString())).toHaveProperty('code');
  });

  test('that was too small to compress is sent as it is, and what was compressed has no address of its own', async () => {
    const small = await wire('/assets/small-1.js', accept('br'));
    expect([small.status, small.headers['content-encoding'], small.headers.vary ?? '']).toEqual([
      200,
      undefined,
      expect.not.stringMatching(/accept-encoding/i),
    ]);
    for (const path of [
      '/assets/main-1.js.br',
      '/assets/main-1.js.gz',
      '/assets/none.js',
      '/assets/%2e%2e/index.html',
    ])
      expect([path, (await wire(path, accept('br'))).status]).toEqual([path, 404]);
  });
});

describe('an answer of the API', () => {
  test('that is large and no secret is compressed for who takes that, and the same', async () => {
    const [plain, gz, br] = await Promise.all(
      ['identity', 'gzip', 'br'].map((each) => wire('/api/v1/gates?limit=200', accept(each))),
    );
    if (plain === undefined || gz === undefined || br === undefined) throw new Error('not answered');
    expect([plain, gz, br].map(({ headers }) => headers['content-encoding'])).toEqual([
      undefined,
      'gzip',
      'br',
    ]);
    const names = (answer: Wire) =>
      (JSON.parse(decoded(answer).toString()) as { items: { region: string }[] }).items.map(
        ({ region }) => region,
      );
    expect(names(gz)).toEqual(names(plain));
    expect(names(br)).toEqual(names(plain));
    expect(gz.body.length).toBeLessThan(plain.body.length / 5);
    for (const { headers, body } of [plain, gz, br]) {
      expect(headers.vary).toMatch(/accept-encoding/i);
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['content-type']).toBe('application/json; charset=utf-8');
      expect(headers['content-length']).toBe(String(body.length));
    }
    const head = await wire('/api/v1/gates?limit=200', accept('br'), 'HEAD');
    expect([head.status, head.body.length, head.headers['content-encoding']]).toEqual([200, 0, 'br']);
    for (const path of ['/api/v1/overview', '/api/v1/openapi.json', '/metrics'])
      expect([path, (await wire(path, accept('gzip'))).headers['content-encoding']]).toEqual([path, 'gzip']);
  });

  test('that is small, an error, or about people is sent as it is', async () => {
    const all = accept('br, gzip');
    for (const path of [
      '/api/v1/gates?limit=1',
      '/api/v1/nowhere',
      '/api/v1/me',
      '/api/v1/tokens',
      `/api/v1/audit?limit=200`,
      '/session/ways',
      '/',
    ])
      expect([path, (await wire(path, all)).headers['content-encoding']]).toEqual([path, undefined]);
  });

  test('that is a stream is never held back to be compressed', async () => {
    const gone = new AbortController();
    const response = await served.call('/api/v1/events/stream', {
      headers: accept('br, gzip'),
      signal: gone.signal,
    });
    expect(response.headers.get('content-encoding')).toBeNull();
    // It comes while the stream goes on: the first thing it says is where it is.
    const first = await (response.body as ReadableStream<Uint8Array>).getReader().read();
    expect(first.value?.length).toBeGreaterThan(0);
    gone.abort();
  });
});
