import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { attempt, type Limits } from './attempt.js';
import {
  encodeQuestion,
  newQuestion,
  readReply,
  type Failed,
  type Question,
  type Reply,
  type Said,
} from './dns-message.js';
import type { ServerAddress } from './server-address.js';

type UdpOutcome = Exclude<Reply, { readonly kind: 'stray' }>;

const UNREACHABLE: Failed = { kind: 'failed', code: 'UNREACHABLE' };
const MALFORMED: Failed = { kind: 'failed', code: 'MALFORMED' };
const TIMEOUT: Failed = { kind: 'failed', code: 'TIMEOUT' };

/**
 * Asks one server for a name's TXT records, once: over UDP, without EDNS where the server does not understand it, and
 * over TCP when that answer is truncated; all within `timeoutMs`. The name must be askable.
 */
export async function ask(
  server: ServerAddress,
  name: string,
  edns: boolean,
  limits: Limits,
): Promise<Said | Failed> {
  const question = newQuestion(name, edns);
  const startedMs = performance.now();
  const reply = await askOverUdp(server, question, limits);
  if (reply.kind === 'said' || reply.kind === 'failed') return reply;
  const timeoutMs = limits.timeoutMs - (performance.now() - startedMs);
  if (timeoutMs <= 0) return TIMEOUT;
  if (reply.kind === 'no-edns') return ask(server, name, false, { ...limits, timeoutMs });
  return askOverTcp(server, question, { ...limits, timeoutMs });
}

/**
 * The socket is bound to a port of the system's choosing and connected, so only this server's datagrams get
 * in. One that does not answer our question is passed over: it must not end the question it may be forged for.
 */
function askOverUdp(server: ServerAddress, question: Question, limits: Limits): Promise<UdpOutcome> {
  let heardGarbage = false;
  return attempt<UdpOutcome>(
    limits,
    () => (heardGarbage ? MALFORMED : TIMEOUT),
    (settle) => {
      const socket = createSocket(server.family === 6 ? 'udp6' : 'udp4');
      socket.on('message', (message) => {
        const reply = readReply(message, question);
        if (reply.kind !== 'stray') settle(reply);
        else heardGarbage ||= reply.garbled;
      });
      socket.on('error', () => settle(UNREACHABLE));
      socket.on('connect', () => {
        socket.send(encodeQuestion(question), (error) => {
          if (error !== null) settle(UNREACHABLE);
        });
      });
      socket.connect(server.port, server.host);
      return () => socket.close();
    },
  );
}

function askOverTcp(server: ServerAddress, question: Question, limits: Limits): Promise<Said | Failed> {
  return attempt<Said | Failed>(
    limits,
    () => TIMEOUT,
    (settle) => {
      const socket = connect({ host: server.host, port: server.port, family: server.family });
      let received = Buffer.alloc(0);
      socket.on('connect', () => {
        const message = encodeQuestion(question);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(message.length);
        socket.write(Buffer.concat([length, message]));
      });
      socket.on('data', (chunk) => {
        received = Buffer.concat([received, chunk]);
        if (received.length < 2) return;
        const end = 2 + received.readUInt16BE(0);
        if (received.length < end) return;
        const reply = readReply(received.subarray(2, end), question);
        settle(reply.kind === 'said' || reply.kind === 'failed' ? reply : MALFORMED);
      });
      socket.on('error', () => settle(UNREACHABLE));
      socket.on('close', () => settle(UNREACHABLE));
      return () => socket.destroy();
    },
  );
}
