import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { PortcullisError } from '../kernel/errors.js';
import { canonicalName } from '../lookup/dns-name.js';
import type { ZoneAnswer } from './zone-answer.js';
import { deliver, type Transport } from './zone-delivery.js';
import type { Authority } from './zone-reply.js';

export interface ZoneResponderOptions {
  /** The address to listen on; loopback, unless the zone is meant for others. */
  readonly host: string;
  /** For UDP and TCP alike; 0 for any that is free for both. */
  readonly port: number;
  /** What is at a name (lower case, no final dot) within the apexes. Asked again for each question. */
  readonly zone: (name: string) => ZoneAnswer;
  /** The zones' own names; a name under none of them is REFUSED. Default: the root, so that all are in. */
  readonly apexes?: readonly string[];
  /** For records that name no TTL of their own. Default 60. */
  readonly ttlSeconds?: number;
  /** For negative answers, by their SOA. Default 60. */
  readonly negativeTtlSeconds?: number;
  /** Open TCP connections; a further one is closed at once. Default 64. */
  readonly maxConnections?: number;
  /** A TCP connection without traffic for so long is closed. Default 10,000. */
  readonly idleMs?: number;
}

export interface ZoneResponder {
  readonly address: string;
  readonly port: number;
  /** Ends every connection and delay. May be called again. */
  close(): Promise<void>;
}

/** What TCP's length prefix can say; a question is far shorter. */
const LENGTH_BYTES = 2;
const LONGEST_QUERY_BYTES = 4096;
const TRIES_FOR_A_PORT = 20;

/**
 * A small authoritative name server. Throws ADDRESS_IN_USE if the port is taken for UDP or TCP.
 */
export async function startZoneResponder(options: ZoneResponderOptions): Promise<ZoneResponder> {
  const { host } = options;
  const authority: Authority = {
    apexes: new Set((options.apexes ?? ['']).map(canonicalName)),
    zone: options.zone,
    ttlSeconds: options.ttlSeconds ?? 60,
    negativeTtlSeconds: options.negativeTtlSeconds ?? 60,
  };
  const { udp, tcp, port } = await listenOnBoth(host, options.port);
  const closing = new AbortController();
  const connections = new Set<Socket>();

  const answer = (message: Buffer, transport: Transport): Promise<Buffer | undefined> =>
    deliver(authority, message, transport, closing.signal);

  udp.on('message', (message, from) => {
    void answer(message, 'udp').then((reply) => {
      if (reply !== undefined && !closing.signal.aborted) udp.send(reply, from.port, from.address, ignore);
    });
  });
  udp.on('error', ignore);

  tcp.maxConnections = options.maxConnections ?? 64;
  tcp.on('error', ignore);
  tcp.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    socket.setTimeout(options.idleMs ?? 10_000, () => socket.destroy());
    pipeline(
      socket,
      (chunks: AsyncIterable<Buffer>) => replies(chunks, (message) => answer(message, 'tcp')),
      socket,
    ).catch(ignore);
  });

  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    closing.abort();
    const ended = Promise.all([once(udp, 'close'), once(tcp, 'close')]);
    udp.close();
    tcp.close();
    for (const socket of connections) socket.destroy();
    await ended;
  };
  return { address: host, port, close: () => (closed ??= close()) };
}

/** Answers a connection's questions one after the other; reading waits for writing, so nothing piles up. */
async function* replies(
  chunks: AsyncIterable<Buffer>,
  answer: (message: Buffer) => Promise<Buffer | undefined>,
): AsyncGenerator<Buffer> {
  let received = Buffer.alloc(0);
  for await (const chunk of chunks) {
    received = Buffer.concat([received, chunk]);
    while (received.length >= LENGTH_BYTES) {
      const length = received.readUInt16BE(0);
      if (length > LONGEST_QUERY_BYTES) return;
      if (received.length < LENGTH_BYTES + length) break;
      const reply = await answer(received.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
      received = received.subarray(LENGTH_BYTES + length);
      if (reply !== undefined) yield prefixed(reply);
    }
  }
}

function prefixed(message: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

interface Listening {
  readonly udp: UdpSocket;
  readonly tcp: Server;
  readonly port: number;
}

/** A port that is free for TCP may be taken for UDP; where any port will do, another is tried. */
async function listenOnBoth(host: string, wanted: number): Promise<Listening> {
  for (let made = 1; ; made += 1) {
    try {
      return await listenOn(host, wanted);
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (isTaken && wanted === 0 && made < TRIES_FOR_A_PORT) continue;
      if (!isTaken) throw error;
      throw new PortcullisError('ADDRESS_IN_USE', `DNS: ${host} port ${wanted} is taken`, {
        hint: 'End what listens there, or choose another port (0 for any).',
        cause: error,
      });
    }
  }
}

async function listenOn(host: string, wanted: number): Promise<Listening> {
  // A client may close its half once it has asked, and still wants the answer.
  const tcp = createServer({ allowHalfOpen: true });
  tcp.listen(wanted, host);
  await once(tcp, 'listening');
  const port = portOf(tcp);
  const udp = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  try {
    udp.bind(port, host);
    await once(udp, 'listening');
  } catch (error) {
    udp.close();
    tcp.close();
    throw error;
  }
  return { udp, tcp, port };
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port');
  return address.port;
}

/** For errors that concern one client only, and that nobody here can repair. */
function ignore(): void {
  return;
}
