import { randomInt } from 'node:crypto';
import packet from 'dns-packet';
import type { DnsFailure } from './dns.js';
import { canonicalName } from './dns-name.js';

/** The size that passes every common path in one piece (DNS flag day 2020). */
const EDNS_PAYLOAD_BYTES = 1232;

export interface Question {
  readonly id: number;
  readonly name: string;
  /** Whether it carries EDNS's OPT record (RFC 6891), which some forwarders do not understand. */
  readonly edns: boolean;
}

/** A readable answer to our question: its records, and whether the name exists. */
export interface Said {
  readonly kind: 'said';
  readonly exists: boolean;
  readonly answers: readonly packet.Answer[];
  readonly authorities: readonly packet.Answer[];
}

export interface Failed {
  readonly kind: 'failed';
  readonly code: DnsFailure;
}

/** What a message turned out to be. `stray` is one that does not answer our question: an echo, a forgery. */
export type Reply =
  | Said
  | Failed
  | { readonly kind: 'truncated' }
  /** The server does not understand EDNS: the question may be asked again without it (RFC 6891, section 7). */
  | { readonly kind: 'no-edns'; readonly code: DnsFailure }
  | { readonly kind: 'stray'; readonly garbled: boolean };

/** A question with an id that cannot be guessed. */
export function newQuestion(name: string, edns: boolean): Question {
  return { id: randomInt(0x10000), name, edns };
}

export function encodeQuestion({ id, name, edns }: Question): Buffer {
  return packet.encode({
    type: 'query',
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ type: 'TXT', class: 'IN', name }],
    additionals: edns ? [OPT] : [],
  });
}

const OPT: packet.OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: EDNS_PAYLOAD_BYTES,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

/** Response codes that leave us without an answer (RFC 1035, 6895); every other is taken for malformed. */
const FAILURES: Readonly<Record<number, DnsFailure>> = {
  2: 'SERVFAIL',
  4: 'REFUSED', // NOTIMP
  5: 'REFUSED',
  9: 'REFUSED', // NOTAUTH
};
const NOERROR = 0;
const FORMERR = 1;
const NXDOMAIN = 3;
const NOTIMP = 4;

export function readReply(message: Buffer, question: Question): Reply {
  const decoded = decodeWhole(message);
  if (decoded === undefined) {
    const ours = message.length >= 2 && message.readUInt16BE(0) === question.id;
    return ours ? { kind: 'failed', code: 'MALFORMED' } : { kind: 'stray', garbled: true };
  }
  const rcode = responseCode(decoded);
  if (!answersQuestion(decoded, question, rcode)) return { kind: 'stray', garbled: false };
  if (decoded.flag_tc) return { kind: 'truncated' };
  if (rcode !== NOERROR && rcode !== NXDOMAIN) {
    const code = FAILURES[rcode] ?? 'MALFORMED';
    return { kind: question.edns && (rcode === FORMERR || rcode === NOTIMP) ? 'no-edns' : 'failed', code };
  }
  return {
    kind: 'said',
    exists: rcode === NOERROR,
    answers: decoded.answers ?? [],
    authorities: decoded.authorities ?? [],
  };
}

/**
 * Reads a message; undefined where it is none. dns-packet reads past the end of a cut message without
 * complaint, so what it consumed must be the whole.
 */
export function decodeWhole(message: Buffer): packet.DecodedPacket | undefined {
  try {
    const decoded = packet.decode(message);
    return packet.decode.bytes === message.length ? decoded : undefined;
  } catch {
    return undefined;
  }
}

/** The header's four bits and EDNS's eight above them: without those, BADVERS would look like success. */
function responseCode(decoded: packet.DecodedPacket): number {
  const low = (decoded.flags ?? 0) & 0xf;
  const opt = decoded.additionals?.find((record) => record.type === 'OPT');
  return opt === undefined ? low : (opt.extendedRcode << 4) | low;
}

/** Only a FORMERR may leave the question out: its sender could not read it. */
function answersQuestion(decoded: packet.DecodedPacket, question: Question, rcode: number): boolean {
  if (!decoded.flag_qr || decoded.id !== question.id) return false;
  const questions = decoded.questions ?? [];
  const [asked] = questions;
  if (asked === undefined) return rcode === FORMERR;
  return (
    questions.length === 1 &&
    asked.type === 'TXT' &&
    asked.class === 'IN' &&
    canonicalName(asked.name) === canonicalName(question.name)
  );
}
