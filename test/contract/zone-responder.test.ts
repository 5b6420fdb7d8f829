import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import packet from 'dns-packet';
import type { ZoneAnswer } from '../../src/demo/zone-answer.js';
import {
  startZoneResponder,
  type ZoneResponder,
  type ZoneResponderOptions,
} from '../../src/demo/zone-responder.js';

let responder: ZoneResponder | undefined;
afterEach(() => responder?.close());

async function start(options: Partial<ZoneResponderOptions> = {}): Promise<ZoneResponder> {
  const zone = (): ZoneAnswer => ({ kind: 'txt', values: ['here'] });
  return (responder = await startZoneResponder({ host: '127.0.0.1', port: 0, zone, ...options }));
}

const question = (id: number) =>
  packet.encode({ type: 'query', id, questions: [{ type: 'TXT', name: 'a.test' }] });
const framed = (message: Buffer) =>
  Buffer.concat([Buffer.of(message.length >> 8, message.length & 0xff), message]);

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** The ids of the answers on a connection, until the server closes it. */
async function idsOn(socket: Socket): Promise<number[]> {
  let received = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) received = Buffer.concat([received, chunk]);
  const ids: number[] = [];
  for (let at = 0; at < received.length; at += 2 + received.readUInt16BE(at))
    ids.push(received.readUInt16BE(at + 2));
  return ids;
}

describe('the zone responder', () => {
  test('answers on the same port over UDP and TCP', async () => {
    const { port, address } = await start();
    const udp = createSocket('udp4');
    udp.send(question(7), port, address);
    const [datagram] = (await once(udp, 'message')) as [Buffer];
    udp.close();
    expect(packet.decode(datagram)).toMatchObject({ id: 7, flag_aa: true, answers: [{ type: 'TXT' }] });
    const tcp = await open(port);
    tcp.end(framed(question(8)));
    expect(await idsOn(tcp)).toEqual([8]);
  });

  test('answers several questions on one connection, however they are cut into packets', async () => {
    const { port } = await start();
    const socket = await open(port);
    socket.setNoDelay(true);
    const ids = idsOn(socket);
    const bytes = Buffer.concat([1, 2, 3].map((id) => framed(question(id))));
    for (const octet of bytes) await new Promise((resolve) => socket.write(Buffer.of(octet), resolve));
    socket.end();
    expect(await ids).toEqual([1, 2, 3]);
  });

  test('still answers a client that has closed its half after asking', async () => {
    const zone = (): ZoneAnswer => ({ kind: 'delay', delayMs: 50, answer: { kind: 'nodata' } });
    const { port } = await start({ zone });
    const socket = await open(port);
    socket.end(framed(question(5)));
    expect(await idsOn(socket)).toEqual([5]);
  });

  test('closes a connection that sends more than a question can be', async () => {
    const { port } = await start();
    const socket = await open(port);
    socket.write(Buffer.alloc(8_000, 0xff));
    expect(await idsOn(socket).catch(() => [])).toEqual([]);
  });

  test('closes an idle connection, and one over the limit at once', async () => {
    const { port } = await start({ maxConnections: 1, idleMs: 200 });
    const [first, second] = [await open(port), await open(port)];
    second.resume();
    await once(second, 'close');
    expect(first.closed).toBe(false);
    first.resume();
    await once(first, 'close');
    const third = await open(port);
    third.end(framed(question(3)));
    expect(await idsOn(third)).toEqual([3]);
  });

  test('closes with clients connected and delays pending, and then the port is free again', async () => {
    const zone = (): ZoneAnswer => ({ kind: 'delay', delayMs: 600_000, answer: { kind: 'nodata' } });
    const { port } = await start({ zone });
    const socket = await open(port);
    socket.on('error', () => undefined);
    socket.write(framed(question(1)));
    await Promise.all([responder?.close(), responder?.close()]);
    await start({ port });
    expect(responder?.port).toBe(port);
  });

  test('says so where its port is taken, for TCP or only for UDP', async () => {
    const { port } = await start();
    const again = { host: '127.0.0.1', port, zone: (): ZoneAnswer => ({ kind: 'nodata' }) };
    await expect(startZoneResponder(again)).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
    await responder?.close();
    const udp = createSocket('udp4').bind(port, '127.0.0.1');
    await once(udp, 'listening');
    await expect(startZoneResponder(again)).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
    udp.close();
    await once(udp, 'close');
    await (await startZoneResponder(again)).close();
  });
});
