import { createSocket } from 'node:dgram';
import dns from 'node:dns';
import packet from 'dns-packet';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { PortcullisError } from '../../src/kernel/errors.js';
import { createDns, type DnsOptions } from '../../src/lookup/dns-client.js';
import type { DnsAnswerClass, TxtAnswer } from '../../src/lookup/dns.js';
import { listedZone, type ZoneAnswer } from '../../src/demo/zone-answer.js';
import { startZoneResponder, type ZoneResponderOptions } from '../../src/demo/zone-responder.js';

const NAME = '_portcullis-challenge.example.test';
const TOKEN = `token=${'0123456789abcdef'.repeat(2)}`;
const proof: ZoneAnswer = { kind: 'txt', values: [TOKEN] };

const started: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((responder) => responder.close()));
});

/** A name server with these names; how often each was asked for is counted. */
async function serve(names: Record<string, ZoneAnswer>, options: Partial<ZoneResponderOptions> = {}) {
  const listed = new Map(Object.entries(names));
  const asked: string[] = [];
  const responder = await startZoneResponder({
    host: '127.0.0.1',
    port: 0,
    zone: (name) => {
      asked.push(name);
      return listedZone(listed)(name);
    },
    ...options,
  });
  started.push(responder);
  return { listed, asked, resolver: `127.0.0.1:${responder.port}`, responder };
}

const dnsOf = (resolvers: readonly string[], options: Partial<DnsOptions> = {}) =>
  createDns({ resolvers, timeoutMs: 2_000, tries: 1, maxConcurrent: 16, ...options });

/** What one server with `answer` at the challenge's name leads to. */
async function answerTo(
  answer: ZoneAnswer,
  options: Partial<DnsOptions> = {},
): Promise<TxtAnswer | undefined> {
  const { resolver } = await serve({ [NAME]: answer });
  const [only] = await dnsOf([resolver], options).txt(NAME);
  return only?.answer;
}

const RCODES = { FORMERR: 1, NOTIMP: 4 };

/** A forwarder that does not understand EDNS, as some in home routers and firewalls do not: how it answers an OPT. */
async function forwarderWithoutEdns(resolver: string, answers: 'FORMERR' | 'NOTIMP' | 'nothing') {
  const [host = '', port = ''] = resolver.split(':');
  const asked: boolean[] = [];
  const socket = createSocket('udp4');
  const upstream = createSocket('udp4');
  const clients = new Map<number, number>();
  upstream.on('message', (reply) => socket.send(reply, clients.get(reply.readUInt16BE(0)) ?? 0, '127.0.0.1'));
  socket.on('message', (message, from) => {
    const { id = 0, questions = [], additionals = [] } = packet.decode(message);
    const edns = additionals.some(({ type }) => type === 'OPT');
    asked.push(edns);
    clients.set(id, from.port);
    if (!edns) upstream.send(message, Number(port), host);
    if (!edns || answers === 'nothing') return;
    // RFC 6891 says FORMERR; some leave out the question that they could not read.
    const about = answers === 'FORMERR' ? [] : questions;
    const reply = packet.encode({ type: 'response', id, flags: RCODES[answers], questions: about });
    socket.send(reply, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  started.push({
    close: () => Promise.all([socket, upstream].map((each) => once(each.close(), 'close'))),
  });
  return { resolver: `127.0.0.1:${socket.address().port}`, asked };
}

/** A port on which nothing listens: one that the system has just had back. */
async function deadResolver(): Promise<string> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return `127.0.0.1:${port}`;
}

describe('the odd worlds of DNS', () => {
  test('a record: its value and TTL', async () => {
    expect(await answerTo({ kind: 'txt', values: [TOKEN], ttlSeconds: 17 })).toEqual({
      kind: 'records',
      values: [TOKEN],
      ttlSeconds: 17,
    });
  });

  test('NXDOMAIN is absence, for as long as the SOA says', async () => {
    const { resolver } = await serve({}, { negativeTtlSeconds: 45 });
    expect(await dnsOf([resolver]).txt(NAME)).toEqual([
      { perspective: resolver, answer: { kind: 'absent', code: 'NXDOMAIN', negativeTtlSeconds: 45 } },
    ]);
  });

  test('no data is absence, whether the name has other records or only names below it', async () => {
    const nodata = { kind: 'absent', code: 'NODATA', negativeTtlSeconds: 60 };
    expect(await answerTo({ kind: 'nodata' })).toEqual(nodata);
    const { resolver } = await serve({ [`below.${NAME}`]: proof });
    expect(await dnsOf([resolver]).txt(NAME)).toMatchObject([{ answer: nodata }]);
  });

  test('SERVFAIL is indeterminate', async () => {
    expect(await answerTo({ kind: 'servfail' })).toEqual({ kind: 'indeterminate', code: 'SERVFAIL' });
  });

  test('REFUSED is indeterminate, also where the name is in none of the server’s zones', async () => {
    expect(await answerTo({ kind: 'refused' })).toEqual({ kind: 'indeterminate', code: 'REFUSED' });
    const { resolver } = await serve({ [NAME]: proof }, { apexes: ['other.test'] });
    expect(await dnsOf([resolver]).txt(NAME)).toMatchObject([{ answer: { code: 'REFUSED' } }]);
  });

  test('a timeout is indeterminate, and comes in time', async () => {
    const startedMs = performance.now();
    expect(await answerTo({ kind: 'drop' }, { timeoutMs: 50, tries: 2 })).toEqual({
      kind: 'indeterminate',
      code: 'TIMEOUT',
    });
    expect(performance.now() - startedMs).toBeGreaterThan(90);
  });

  test('an answer that comes after the time is up is not waited for', async () => {
    const late: ZoneAnswer = { kind: 'delay', delayMs: 20_000, answer: { kind: 'txt', values: [TOKEN] } };
    expect(await answerTo(late, { timeoutMs: 50 })).toEqual({ kind: 'indeterminate', code: 'TIMEOUT' });
  });

  test('garbage under our id is malformed at once; other garbage is malformed once no answer came', async () => {
    const malformed = { kind: 'indeterminate', code: 'MALFORMED' };
    expect(await answerTo({ kind: 'garbage', keepsId: true })).toEqual(malformed);
    expect(await answerTo({ kind: 'garbage', keepsId: false }, { timeoutMs: 50 })).toEqual(malformed);
  });

  test.each(['wrong-id', 'wrong-question'] as const)(
    'an answer with a %s is nobody’s answer',
    async (kind) => {
      expect(await answerTo({ kind, answer: { kind: 'txt', values: [TOKEN] } }, { timeoutMs: 50 })).toEqual({
        kind: 'indeterminate',
        code: 'TIMEOUT',
      });
    },
  );

  test('truncation leads to TCP', async () => {
    expect(await answerTo({ kind: 'truncate', answer: { kind: 'txt', values: [TOKEN] } })).toMatchObject({
      values: [TOKEN],
    });
  });

  test('truncation without a TCP server behind it is indeterminate, not absence', async () => {
    const udpOnly = createSocket('udp4', (message, from) => {
      const reply = Buffer.from(message);
      reply.writeUInt16BE(0x8200, 2);
      udpOnly.send(reply, from.port, from.address);
    }).bind(0, '127.0.0.1');
    await once(udpOnly, 'listening');
    const [only] = await dnsOf([`127.0.0.1:${udpOnly.address().port}`]).txt(NAME);
    expect(only?.answer).toEqual({ kind: 'indeterminate', code: 'UNREACHABLE' });
    udpOnly.close();
  });

  test('split strings of one record make one value', async () => {
    const parts = [TOKEN.slice(0, 9), TOKEN.slice(9)];
    expect(await answerTo({ kind: 'txt', values: [parts, 'x'.repeat(700)] })).toMatchObject({
      values: [TOKEN, 'x'.repeat(700)],
    });
  });

  test('many unrelated records do not hide the token', async () => {
    const unrelated = Array.from({ length: 200 }, (_, index) => `v=spf1 include:s${index}.test ~all`);
    const answer = await answerTo({ kind: 'txt', values: [...unrelated, TOKEN] });
    expect(answer).toMatchObject({ kind: 'records', values: [...unrelated, TOKEN] });
  });

  test('wrong case, quotes and spaces are kept as they are: matching is the job’s', async () => {
    const values = [TOKEN.toUpperCase(), `"${TOKEN}"`, ` ${TOKEN} `, 'tökén', ''];
    expect(await answerTo({ kind: 'txt', values })).toMatchObject({ values });
  });

  test('octets that are not UTF-8 come through, each as a character', async () => {
    expect(await answerTo({ kind: 'txt', values: [Uint8Array.of(0x74, 0xff, 0xe9)] })).toMatchObject({
      values: ['t\u00ff\u00e9'],
    });
  });

  test('the name’s case does not matter', async () => {
    const { resolver } = await serve({ [NAME]: proof });
    expect(await dnsOf([resolver]).txt(`${NAME.toUpperCase()}.`)).toMatchObject([
      { answer: { values: [TOKEN] } },
    ]);
  });

  test('a CNAME to the token is followed, within the answer and by a further question', async () => {
    const { resolver, asked } = await serve(
      {
        [NAME]: { kind: 'cname', target: 'a.example.test', ttlSeconds: 50 },
        'a.example.test': { kind: 'cname', target: 'B.hosting.test', ttlSeconds: 40 },
        'b.hosting.test': proof,
      },
      { apexes: ['example.test', 'hosting.test'] },
    );
    expect(await dnsOf([resolver]).txt(NAME)).toMatchObject([
      { answer: { kind: 'records', values: [TOKEN], ttlSeconds: 40 } },
    ]);
    expect(new Set(asked)).toEqual(new Set([NAME, 'a.example.test', 'b.hosting.test']));
  });

  test('a CNAME to nothing is absence; to where the server will not go, indeterminate', async () => {
    const { resolver } = await serve(
      {
        [NAME]: { kind: 'cname', target: 'gone.hosting.test' },
        'away.example.test': { kind: 'cname', target: 'a.unknown.test' },
      },
      { apexes: ['example.test', 'hosting.test'] },
    );
    const dns = dnsOf([resolver]);
    expect(await dns.txt(NAME)).toMatchObject([{ answer: { code: 'NXDOMAIN' } }]);
    expect(await dns.txt('away.example.test')).toMatchObject([{ answer: { code: 'REFUSED' } }]);
  });

  test('a CNAME loop is seen as one, within an answer and over several', async () => {
    const { resolver } = await serve(
      {
        [NAME]: { kind: 'cname', target: NAME },
        'a.example.test': { kind: 'cname', target: 'b.hosting.test' },
        'b.hosting.test': { kind: 'cname', target: 'a.example.test' },
      },
      { apexes: ['example.test', 'hosting.test'] },
    );
    const dns = dnsOf([resolver]);
    for (const name of [NAME, 'a.example.test']) {
      expect(await dns.txt(name)).toMatchObject([{ answer: { kind: 'indeterminate', code: 'CNAME_LOOP' } }]);
    }
  });

  test('perspectives that disagree are each reported, in the order they were configured', async () => {
    const servers = await Promise.all([
      serve({ [NAME]: proof }),
      serve({}),
      serve({ [NAME]: { kind: 'txt', values: ['token=old'] } }),
      serve({ [NAME]: { kind: 'servfail' } }),
    ]);
    const resolvers = servers.map((server) => server.resolver);
    const answers = await dnsOf(resolvers).txt(NAME);
    expect(answers.map((each) => each.perspective)).toEqual(resolvers);
    expect(answers.map((each) => each.answer)).toMatchObject([
      { values: [TOKEN] },
      { code: 'NXDOMAIN' },
      { values: ['token=old'] },
      { code: 'SERVFAIL' },
    ]);
  });

  test('a negative answer, then the record added: nothing is cached here, and the TTL is told', async () => {
    const { resolver, listed } = await serve({}, { negativeTtlSeconds: 900 });
    const dns = dnsOf([resolver]);
    expect(await dns.txt(NAME)).toMatchObject([{ answer: { kind: 'absent', negativeTtlSeconds: 900 } }]);
    listed.set(NAME, proof);
    expect(await dns.txt(NAME)).toMatchObject([{ answer: { values: [TOKEN] } }]);
  });

  test('flapping: each lookup says what is so at its time', async () => {
    const { resolver, listed } = await serve({});
    const dns = dnsOf([resolver]);
    const seen: string[] = [];
    for (const there of [true, false, true, false]) {
      if (there) listed.set(NAME, proof);
      else listed.delete(NAME);
      const [only] = await dns.txt(NAME);
      seen.push(only?.answer.kind ?? 'none');
    }
    expect(seen).toEqual(['records', 'absent', 'records', 'absent']);
  });

  test('parent verified and child not: each name is asked for itself', async () => {
    const { resolver } = await serve({ [NAME]: proof });
    expect(await dnsOf([resolver]).txt('_portcullis-challenge.child.example.test')).toMatchObject([
      { answer: { kind: 'absent' } },
    ]);
  });
});

describe('the client', () => {
  test('says UNREACHABLE where nothing listens, and goes on with the other perspectives', async () => {
    const { resolver } = await serve({ [NAME]: proof });
    expect(await dnsOf([await deadResolver(), resolver], { tries: 2 }).txt(NAME)).toMatchObject([
      { answer: { kind: 'indeterminate', code: 'UNREACHABLE' } },
      { answer: { values: [TOKEN] } },
    ]);
  });

  test('tries again after a failure, as often as it was told and no more', async () => {
    let questions = 0;
    const zone = (): ZoneAnswer => ((questions += 1) <= 2 ? { kind: 'drop' } : proof);
    const { resolver } = await serve({}, { zone });
    const dns = (tries: number) => dnsOf([resolver], { timeoutMs: 100, tries });
    expect(await dns(2).txt(NAME)).toMatchObject([{ answer: { code: 'TIMEOUT' } }]);
    expect(questions).toBe(2);
    questions = 0;
    expect(await dns(3).txt(NAME)).toMatchObject([{ answer: { values: [TOKEN] } }]);
  });

  test.each(['FORMERR', 'NOTIMP', 'nothing'] as const)(
    'asks a forwarder that answers %s to EDNS again without it',
    async (answers) => {
      const { resolver } = await serve({ [NAME]: proof });
      const forwarder = await forwarderWithoutEdns(resolver, answers);
      const options = answers === 'nothing' ? { tries: 2, timeoutMs: 500 } : {};
      const [only] = await dnsOf([forwarder.resolver], options).txt(NAME);
      expect(only?.answer).toEqual({ kind: 'records', values: [TOKEN], ttlSeconds: 60 });
      expect(forwarder.asked).toEqual([true, false]);
    },
  );

  test('keeps a chain of slow aliases within tries × timeout', async () => {
    const slow = (target: string): ZoneAnswer => ({
      kind: 'delay',
      delayMs: 60,
      answer: { kind: 'cname', target },
    });
    const apexes = Array.from({ length: 8 }, (_, index) => `z${index}.test`);
    const names = Object.fromEntries(apexes.map((apex, index) => [apex, slow(`z${index + 1}.test`)]));
    const { resolver } = await serve(names, { apexes });
    const startedMs = performance.now();
    const [only] = await dnsOf([resolver], { timeoutMs: 100, tries: 2 }).txt('z0.test');
    expect(only?.answer).toEqual({ kind: 'indeterminate', code: 'TIMEOUT' });
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  test('speaks to IPv6 servers', async () => {
    const { responder } = await serve({ [NAME]: proof }, { host: '::1' });
    const resolver = `[::1]:${responder.port}`;
    expect(await dnsOf([resolver]).txt(NAME)).toMatchObject([
      { perspective: resolver, answer: { kind: 'records' } },
    ]);
  });

  test('never has more questions in flight than it may', async () => {
    let inFlight = 0;
    let most = 0;
    const socket = createSocket('udp4', (message, from) => {
      most = Math.max(most, (inFlight += 1));
      const reply = Buffer.from(message);
      reply.writeUInt16BE(0x8003, 2);
      setTimeout(() => {
        inFlight -= 1;
        socket.send(reply, from.port, from.address);
      }, 5);
    }).bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const dns = dnsOf([`127.0.0.1:${socket.address().port}`], { maxConcurrent: 3 });
    const answers = await Promise.all(Array.from({ length: 30 }, (_, index) => dns.txt(`n${index}.test`)));
    socket.close();
    expect(answers.flat().every(({ answer }) => answer.kind === 'absent')).toBe(true);
    expect(most).toBe(3);
  });

  test('stops at once when told to, in flight and waiting, and closes its sockets', async () => {
    const { resolver } = await serve({ [NAME]: { kind: 'drop' } });
    const sockets = () =>
      process.getActiveResourcesInfo().filter((resource) => resource === 'UDPWrap').length;
    const untilSockets = async (count: number) => {
      while (sockets() !== count) await turn();
    };
    await untilSockets(1);
    const dns = dnsOf([resolver], { timeoutMs: 20_000, maxConcurrent: 2 });
    const abort = new AbortController();
    const lookups = Promise.allSettled(Array.from({ length: 5 }, () => dns.txt(NAME, abort.signal)));
    await untilSockets(1 + 2);
    const reason = new Error('the lease is lost');
    abort.abort(reason);
    for (const lookup of await lookups) expect(lookup).toEqual({ status: 'rejected', reason });
    await expect(dns.txt(NAME, abort.signal)).rejects.toBe(reason);
    await untilSockets(1);
  });

  test('reports each answer’s class once', async () => {
    const [good, bad] = await Promise.all([
      serve({ [NAME]: proof }),
      serve({ [NAME]: { kind: 'servfail' } }),
    ]);
    const classes: DnsAnswerClass[] = [];
    const dns = dnsOf([good.resolver, bad.resolver], { tries: 3, onAnswer: (each) => classes.push(each) });
    await dns.txt(NAME);
    await dns.txt('other.test');
    expect(classes.sort()).toEqual(['NXDOMAIN', 'NXDOMAIN', 'SERVFAIL', 'records']);
  });

  test('does not send a question that no message can carry', async () => {
    const { resolver, asked } = await serve({});
    for (const name of ['a..test', `${'a'.repeat(64)}.test`, '', 'ä.test']) {
      expect(await dnsOf([resolver]).txt(name)).toMatchObject([{ answer: { code: 'NAME_INVALID' } }]);
    }
    expect(asked).toEqual([]);
  });

  test('asks the machine’s own resolvers one after the other, as one perspective', async () => {
    const { resolver } = await serve({ [NAME]: proof });
    const own = dns.getServers();
    dns.setServers([await deadResolver(), resolver]);
    try {
      const system = (tries: number) =>
        createDns({ resolvers: 'system', timeoutMs: 2_000, tries, maxConcurrent: 1 }).txt(NAME);
      expect(await system(1)).toMatchObject([{ perspective: 'system', answer: { code: 'UNREACHABLE' } }]);
      expect(await system(2)).toMatchObject([{ perspective: 'system', answer: { values: [TOKEN] } }]);
    } finally {
      dns.setServers(own);
    }
  });

  test.each([
    [['dns.example'], '"dns.example" is not an address'],
    [['127.0.0.1', '127.0.0.1:53'], '"127.0.0.1:53" is named twice'],
    [[], 'there is none'],
  ])('refuses the resolvers %j', (resolvers, fault) => {
    const create = () => dnsOf(resolvers);
    expect(create).toThrow(PortcullisError);
    expect(create).toThrow(fault);
  });
});
