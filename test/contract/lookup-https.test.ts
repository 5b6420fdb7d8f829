import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer, type LookupFunction } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createHttps, type HttpsOptions } from '../../src/lookup/https-client.js';
import type { HttpsAnswerClass, HttpsFailure } from '../../src/lookup/https.js';
import { startHttpsServer, type HttpsServer } from '../support/https-server.js';
import { expiredCertificate, testCertificate } from '../support/tls-fixture.js';

const PATH = '/.well-known/portcullis-challenge.txt';
const TOKEN = `token=${'0123456789abcdef'.repeat(2)}`;

const started: HttpsServer[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.close()));
});

async function serve(listener: RequestListener, certificate?: string) {
  const server = await startHttpsServer(listener, certificate);
  started.push(server);
  return { server, url: `https://127.0.0.1:${server.port}${PATH}` };
}

const httpsOf = (options: Partial<HttpsOptions> = {}) =>
  createHttps({
    timeoutMs: 5_000,
    maxBodyBytes: 1_000,
    maxConcurrent: 8,
    allowPrivateAddresses: true,
    ca: testCertificate,
    ...options,
  });

const indeterminate = (code: HttpsFailure) => ({ kind: 'indeterminate', code });

/** Finds every host at these addresses; each call takes the next list, and the last one stays. */
function lookupOf(...lists: readonly (readonly string[])[]) {
  const asked: string[] = [];
  const lookup: LookupFunction = (hostname, options, callback) => {
    const addresses = lists[Math.min(asked.length, lists.length - 1)] ?? [];
    asked.push(hostname);
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    if (options.all === true) callback(null, found);
    else callback(null, found[0]?.address ?? '', found[0]?.family);
  };
  return { lookup, asked };
}

describe('what a server answers', () => {
  async function answerTo(respond: (response: ServerResponse) => void, options: Partial<HttpsOptions> = {}) {
    const { url } = await serve((_, response) => respond(response));
    return httpsOf(options).getText(url);
  }

  test('200 is its body, a leading byte-order mark dropped', async () => {
    expect(await answerTo((response) => response.end(`${TOKEN}\n`))).toEqual({
      kind: 'body',
      status: 200,
      text: `${TOKEN}\n`,
    });
    expect(await answerTo((response) => response.end(`\ufeff${TOKEN}`))).toMatchObject({ text: TOKEN });
  });

  test('a 200 page that says "not found" is just a body', async () => {
    const page = '<html><h1>404 Not Found</h1></html>';
    expect(await answerTo((response) => response.end(page))).toEqual({
      kind: 'body',
      status: 200,
      text: page,
    });
  });

  test.each([404, 410])('%d is absence', async (status) => {
    expect(await answerTo((response) => response.writeHead(status).end('x'))).toEqual({
      kind: 'absent',
      status,
    });
  });

  test.each<[number, HttpsFailure]>([
    [204, 'UNEXPECTED_STATUS'],
    [400, 'UNEXPECTED_STATUS'],
    [401, 'UNEXPECTED_STATUS'],
    [403, 'UNEXPECTED_STATUS'],
    [429, 'UNEXPECTED_STATUS'],
    [500, 'SERVER_ERROR'],
    [503, 'SERVER_ERROR'],
  ])('%d is indeterminate: %s', async (status, code) => {
    expect(await answerTo((response) => response.writeHead(status).end())).toEqual(indeterminate(code));
  });

  test.each([301, 302, 303, 307, 308])('a redirect with %d is not followed', async (status) => {
    const requested: string[] = [];
    const { url, server } = await serve((request, response) => {
      requested.push(request.url ?? '');
      response.writeHead(status, { location: '/elsewhere' }).end(TOKEN);
    });
    expect(await httpsOf().getText(url)).toEqual(indeterminate('REDIRECT'));
    expect(requested).toEqual([PATH]);
    expect(server.connections()).toBe(1);
  });

  test('a huge body is cut off, declared or not', async () => {
    const declared = await answerTo((response) =>
      response.writeHead(200, { 'content-length': 1e12 }).write('x'),
    );
    expect(declared).toEqual(indeterminate('TOO_LARGE'));
    let sent = 0;
    const endless = await answerTo((response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(500))) sent += 500;
      };
      response.on('drain', more);
      more();
    });
    expect(endless).toEqual(indeterminate('TOO_LARGE'));
    expect(sent).toBeLessThan(50_000_000);
    expect(await answerTo((response) => response.end('x'.repeat(1_000)))).toMatchObject({ kind: 'body' });
    expect(await answerTo((response) => response.end('x'.repeat(1_001)))).toEqual(indeterminate('TOO_LARGE'));
  });

  test('huge headers are too large', async () => {
    const answer = await answerTo((response) =>
      response.writeHead(200, { 'x-huge': 'x'.repeat(40_000) }).end(),
    );
    expect(answer).toEqual(indeterminate('TOO_LARGE'));
  });

  test('a slow body runs into the time for the whole fetch, however steadily it drips', async () => {
    let timer: NodeJS.Timeout | undefined;
    const answer = await answerTo(
      (response) => {
        response.writeHead(200);
        timer = setInterval(() => response.write('x'), 10);
      },
      { timeoutMs: 200 },
    );
    clearInterval(timer);
    expect(answer).toEqual(indeterminate('TIMEOUT'));
  });

  test('no answer at all is a timeout', async () => {
    expect(await answerTo(() => undefined, { timeoutMs: 100 })).toEqual(indeterminate('TIMEOUT'));
  });

  test('a body that breaks off is not a body', async () => {
    const answer = await answerTo((response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write(TOKEN, () => response.destroy());
    });
    expect(answer).toEqual(indeterminate('UNREACHABLE'));
  });

  test('a body that is not UTF-8, or is compressed unasked, is malformed', async () => {
    const latin = await answerTo((response) => response.end(Buffer.from('tök', 'latin1')));
    expect(latin).toEqual(indeterminate('MALFORMED'));
    const packed = await answerTo((response) =>
      response.writeHead(200, { 'content-encoding': 'br' }).end('x'),
    );
    expect(packed).toEqual(indeterminate('MALFORMED'));
  });

  test('something that is not HTTP is malformed', async () => {
    expect(await answerTo((response) => response.socket?.end('220 smtp.example.test ready\r\n'))).toEqual(
      indeterminate('MALFORMED'),
    );
  });
});

describe('a bad certificate is a TLS failure, whatever the page says', () => {
  const page: RequestListener = (_, response) => response.end(TOKEN);

  test('not trusted', async () => {
    const { url } = await serve(page);
    const untrusting = createHttps({
      timeoutMs: 5_000,
      maxBodyBytes: 1_000,
      maxConcurrent: 1,
      allowPrivateAddresses: true,
    });
    expect(await untrusting.getText(url)).toEqual(indeterminate('TLS'));
  });

  test('expired', async () => {
    const { url } = await serve(page, expiredCertificate);
    expect(await httpsOf({ ca: expiredCertificate }).getText(url)).toEqual(indeterminate('TLS'));
  });

  test('for another host', async () => {
    const { server } = await serve(page);
    const https = httpsOf({ lookup: lookupOf(['127.0.0.1']).lookup });
    expect(await https.getText(`https://bank.example:${server.port}/`)).toEqual(indeterminate('TLS'));
    expect(await https.getText(`https://www.portcullis.test:${server.port}/`)).toMatchObject({ text: TOKEN });
  });

  test('none: a server that speaks plain HTTP', async () => {
    const plain = createServer((socket) => {
      // Whoever does not read what the client says never hears that it has gone, and keeps the connection.
      socket.on('error', () => undefined).resume();
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    }).listen(0, '127.0.0.1');
    await once(plain, 'listening');
    const address = plain.address();
    if (address === null || typeof address === 'string') throw new TypeError('no port');
    expect(await httpsOf().getText(`https://127.0.0.1:${address.port}/`)).toEqual(indeterminate('TLS'));
    const closed = once(plain, 'close');
    plain.close();
    await closed;
  });
});

describe('addresses that are not public', () => {
  test.each([
    'https://127.0.0.1/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://017700000001/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[64:ff9b::7f00:1]/',
    'https://0.0.0.0/',
    'https://[::]/',
    'https://10.0.0.1/',
    'https://172.16.0.1/',
    'https://192.168.1.1/',
    'https://[fd00::1]/',
    'https://[fe80::1]/',
    'https://169.254.169.254/latest/meta-data/',
    'https://[fd00:ec2::254]/latest/meta-data/',
    'https://100.100.100.200/latest/meta-data/',
    'https://192.0.0.192/opc/v2/instance/',
    'https://168.63.129.16/metadata/instance',
    'https://localhost/',
  ])('%s is refused', async (url) => {
    expect(await httpsOf({ allowPrivateAddresses: false }).getText(url)).toEqual(
      indeterminate('PRIVATE_ADDRESS'),
    );
  });

  test.each([[['127.0.0.1']], [['169.254.169.254']], [['::ffff:10.0.0.1']], [['8.8.8.8', '127.0.0.1']]])(
    'a name that resolves to %j is refused before anything is connected',
    async (addresses) => {
      const { server } = await serve((_, response) => response.end(TOKEN));
      const https = httpsOf({ allowPrivateAddresses: false, lookup: lookupOf(addresses).lookup });
      expect(await https.getText(`https://portcullis.test:${server.port}/`)).toEqual(
        indeterminate('PRIVATE_ADDRESS'),
      );
      expect(server.connections()).toBe(0);
    },
  );

  test('DNS rebinding: a name is resolved once a fetch, and that answer is connected to', async () => {
    const { server } = await serve((_, response) => response.end(TOKEN));
    const { lookup, asked } = lookupOf(['127.0.0.1'], ['127.0.0.2']);
    const https = httpsOf({ lookup });
    expect(await https.getText(`https://portcullis.test:${server.port}/`)).toMatchObject({ text: TOKEN });
    expect(asked).toEqual(['portcullis.test']);
    expect(await https.getText(`https://portcullis.test:${server.port}/`)).toEqual(
      indeterminate('UNREACHABLE'),
    );
    expect(asked).toHaveLength(2);
  });
});

describe('the client', () => {
  test.each([
    'http://portcullis.test/',
    'ftp://portcullis.test/',
    'https://user@portcullis.test/',
    'https://:pass@portcullis.test/',
    'portcullis.test',
    '',
  ])('refuses %j as a URL', async (url) => {
    expect(await httpsOf().getText(url)).toEqual(indeterminate('URL_INVALID'));
  });

  test('says UNREACHABLE where nothing listens and where no such host is', async () => {
    const { server, url } = await serve((_, response) => response.end());
    await server.close();
    expect(await httpsOf().getText(url)).toEqual(indeterminate('UNREACHABLE'));
    const lookup: LookupFunction = (_, __, callback) =>
      callback(Object.assign(new Error('no such host'), { code: 'ENOTFOUND' }), '');
    expect(await httpsOf({ lookup }).getText('https://gone.test/')).toEqual(indeterminate('UNREACHABLE'));
  });

  test('sends no credentials, and asks for plain text', async () => {
    const { url } = await serve((request, response) => response.end(JSON.stringify(request.headers)));
    const answer = await httpsOf().getText(url);
    if (answer.kind !== 'body') throw new Error('no body');
    expect(JSON.parse(answer.text)).toEqual({
      accept: 'text/plain',
      'accept-encoding': 'identity',
      'user-agent': 'portcullis',
      host: new URL(url).host,
      connection: 'close',
    });
  });

  test('has no more fetches in flight than it may, and reports each answer’s class once', async () => {
    let inFlight = 0;
    let most = 0;
    const { url } = await serve((_, response) => {
      most = Math.max(most, (inFlight += 1));
      setTimeout(() => {
        inFlight -= 1;
        response.writeHead(404).end();
      }, 5);
    });
    const classes: HttpsAnswerClass[] = [];
    const https = httpsOf({ maxConcurrent: 2, onAnswer: (each) => classes.push(each) });
    await Promise.all(Array.from({ length: 8 }, () => https.getText(url)));
    expect(most).toBe(2);
    expect(classes).toEqual(Array.from({ length: 8 }, () => 'absent'));
  });

  test('stops at once when told to, and lets go of the connection', async () => {
    let dropped = 0;
    let arrived: (() => void) | undefined;
    const arrival = new Promise<void>((resolve) => (arrived = resolve));
    const { url } = await serve((request) => {
      request.socket.on('close', () => (dropped += 1));
      arrived?.();
    });
    const abort = new AbortController();
    const fetching = httpsOf({ timeoutMs: 20_000 }).getText(url, abort.signal);
    await arrival;
    const reason = new Error('the gate closed');
    abort.abort(reason);
    await expect(fetching).rejects.toBe(reason);
    while (dropped === 0) await turn();
    await expect(httpsOf().getText(url, abort.signal)).rejects.toBe(reason);
  });
});
