import { connect, type Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import express from 'express';
import { listen } from '../../src/server/listen.js';
import { testDatabase } from '../support/database.js';
import { serving } from './serving.js';

const database = await testDatabase();
const { owner } = database;

const portOf = (url: string): number => Number(new URL(url).port);

/** Sends text as it is, and gathers what comes until the other side closes. */
async function raw(url: string, text: string): Promise<string> {
  const socket: Socket = connect(portOf(url), '127.0.0.1');
  socket.write(text);
  let received = '';
  for await (const chunk of socket) received += String(chunk);
  return received;
}

describe('listening', () => {
  test('is on loopback unless told otherwise', async () => {
    const listening = await listen(express(), { port: 0 });
    expect(listening.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    await listening.close();
  });

  test('on a taken address says what to do', async () => {
    const { url } = await serving(owner);
    const port = portOf(url);
    await expect(listen(express(), { port })).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
      message: `another process listens on 127.0.0.1:${port}`,
      hint: expect.stringContaining('PORTCULLIS_HTTP') as unknown,
    });
  });

  test("on an address that is not this machine's is a fault of configuration", async () => {
    await expect(listen(express(), { host: '192.0.2.1', port: 0 })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});

describe('a slow client', () => {
  test('is cut off while it still sends headers', async () => {
    const { url } = await serving(owner, {}, { headersTimeoutMs: 200, requestTimeoutMs: 400 });
    expect(await raw(url, 'GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ')).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('is cut off while it still sends the body', async () => {
    const { url, token } = await serving(owner, {}, { headersTimeoutMs: 200, requestTimeoutMs: 400 });
    const head = `POST /api/v1/flags/a/b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`;
    expect(await raw(url, head)).not.toContain('HTTP/1.1 200');
  });
});

describe('closing', () => {
  test('finishes requests under way and takes no new ones', async () => {
    let release: () => void = () => undefined;
    let arrived: () => void = () => undefined;
    const underWay = new Promise<void>((resolve) => (arrived = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    const served = await serving(owner, {
      readiness: async () => {
        arrived();
        await released;
        return [];
      },
    });
    const answer = fetch(`${served.url}/readyz`);
    await underWay;
    const closed = served.close();
    await expect(fetch(`${served.url}/healthz`)).rejects.toThrow();
    release();
    expect((await answer).status).toBe(200);
    await closed;
  });

  test('cuts requests off that outlast the limit', async () => {
    let arrived: () => void = () => undefined;
    const underWay = new Promise<void>((resolve) => (arrived = resolve));
    const served = await serving(
      owner,
      {
        readiness: () => {
          arrived();
          return new Promise(() => undefined);
        },
      },
      { closeLimitMs: 100 },
    );
    const answer = expect(fetch(`${served.url}/readyz`)).rejects.toThrow();
    await underWay;
    await served.close();
    await answer;
  });

  test('is not held up by connections that are kept alive, and may be asked for twice', async () => {
    const served = await serving(owner, {}, { closeLimitMs: 60_000 });
    await (await served.call('/healthz')).text();
    const startedMs = performance.now();
    await Promise.all([served.close(), served.close()]);
    expect(performance.now() - startedMs).toBeLessThan(30_000);
  });
});
