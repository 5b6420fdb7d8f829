import { setTimeout as delay } from 'node:timers/promises';
import {
  answerAt,
  readQuery,
  refusalTo,
  replyTo,
  servfailTo,
  truncatedTo,
  udpLimitBytes,
  type Authority,
  type Query,
} from './zone-reply.js';

export type Transport = 'udp' | 'tcp';

const LONGEST_MESSAGE_BYTES = 65_535;
const NOISE = Buffer.alloc(64, 0xff);

/**
 * What to send for a message: the zone's answer, cut down to fit UDP, or what the fault at its name makes of
 * it; undefined for nothing. A zone that throws, or says more than a message can hold, is a SERVFAIL.
 */
export async function deliver(
  authority: Authority,
  message: Buffer,
  transport: Transport,
  closing: AbortSignal,
): Promise<Buffer | undefined> {
  const query = readQuery(message);
  if (query === undefined) return undefined;
  try {
    const reply = await faultyReply(authority, query, transport, closing);
    if (reply === undefined) return undefined;
    if (transport === 'udp' && reply.length > udpLimitBytes(query)) return truncatedTo(query);
    return reply.length > LONGEST_MESSAGE_BYTES ? servfailTo(query) : reply;
  } catch {
    return closing.aborted ? undefined : servfailTo(query);
  }
}

async function faultyReply(
  authority: Authority,
  query: Query,
  transport: Transport,
  closing: AbortSignal,
): Promise<Buffer | undefined> {
  const answer = answerAt(authority, query);
  switch (answer?.kind) {
    case 'drop':
      return undefined;
    case 'refused':
      return refusalTo(query);
    case 'garbage':
      return answer.keepsId ? withId(query.id, NOISE) : withId(query.id ^ 0xffff, NOISE);
    case 'wrong-id':
      return replyTo(authority, { ...query, id: query.id ^ 0xffff });
    case 'wrong-question':
      return replyTo(authority, elsewhere(query));
    case 'truncate':
      return transport === 'udp' ? truncatedTo(query) : replyTo(authority, query);
    case 'delay':
      await delay(answer.delayMs, undefined, { signal: closing });
      return replyTo(authority, query);
    case 'servfail':
    case 'txt':
    case 'cname':
    case 'nodata':
    case 'nxdomain':
    case undefined:
      return replyTo(authority, query);
  }
}

function withId(id: number, octets: Buffer): Buffer {
  const message = Buffer.from(octets);
  message.writeUInt16BE(id);
  return message;
}

/** The same query with another type in its question, so that the answer is not to what was asked. */
function elsewhere(query: Query): Query {
  return query.question === undefined ? query : { ...query, question: { ...query.question, type: 'A' } };
}
