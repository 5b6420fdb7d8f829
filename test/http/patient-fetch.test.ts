import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { patientFetch } from '../../src/cli/patient-fetch.js';
import { createClient } from '../../src/client/client.js';
import { until } from '../support/until.js';

/** A server that answers when the test says so, with what came. */
let waiting: { body: string; response: ServerResponse }[] = [];
const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (more: string) => (body += more));
  request.on('end', () => waiting.push({ body, response }));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});
beforeEach(() => {
  waiting = [];
});

const LIMIT_MS = 100;
const asked = (nth = 0) => until('the request', () => waiting[nth]);

test('a server that says nothing for longer than the limit is given up', async () => {
  const client = createClient({ url, token: 't', fetch: patientFetch(LIMIT_MS) });
  await expect(client.call('stopEverything', { reason: 'test' })).rejects.toMatchObject({
    code: 'SERVER_UNREACHABLE',
    message: expect.stringContaining('nothing came for') as unknown,
  });
});

test('an upload is sent as it comes, and answered', async () => {
  const parts = async function* () {
    yield Buffer.from('one ');
    yield Buffer.from('two');
    await Promise.resolve();
  };
  const response = patientFetch()(`${url}/x`, { method: 'POST', body: parts() as unknown as string });
  const { body, response: answer } = await asked();
  expect(body).toBe('one two');
  answer.writeHead(422, { 'content-type': 'application/problem+json', 'x-request-id': 'r' }).end('{}');
  const got = await response;
  expect([got.status, got.headers.get('x-request-id'), await got.text()]).toEqual([422, 'r', '{}']);
});

test('a caller who goes away ends the request, and a redirect is not followed', async () => {
  const gone = new AbortController();
  const left = patientFetch()(`${url}/x`, { signal: gone.signal });
  await asked();
  gone.abort();
  await expect(left).rejects.toMatchObject({ name: 'AbortError' });
  const moved = patientFetch()(`${url}/x`);
  (await asked(1)).response.writeHead(302, { location: 'http://evil.example/' }).end();
  expect((await moved).status).toBe(302);
});
