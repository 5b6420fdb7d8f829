import packet from 'dns-packet';
import { decodeWhole } from '../lookup/dns-message.js';
import { canonicalName } from '../lookup/dns-name.js';
import { dataOf, type ZoneAnswer, type ZoneData } from './zone-answer.js';

/** The zones a server is authoritative for. */
export interface Authority {
  /** Canonical; `''` is the root. */
  readonly apexes: ReadonlySet<string>;
  readonly zone: (name: string) => ZoneAnswer;
  readonly ttlSeconds: number;
  readonly negativeTtlSeconds: number;
}

export interface Query {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** Absent where the message could not be read, or did not hold exactly one question. */
  readonly question?: packet.Question;
  readonly opcode: number;
  /** What the client can take over UDP, by EDNS; undefined where it does not speak it. */
  readonly edns?: { readonly payloadBytes: number; readonly version: number };
}

const HEADER_BYTES = 12;
const PLAIN_UDP_BYTES = 512;
const LARGEST_UDP_BYTES = 4096;
const LARGEST_STRING_OCTETS = 255;
const MAX_ALIASES = 8;

const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;
type Rcode = (typeof RCODE)[keyof typeof RCODE];

/** Reads a message; undefined where there is nothing to answer: no header, or itself an answer. */
export function readQuery(message: Buffer): Query | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) !== 0) return undefined;
  const header = {
    id: message.readUInt16BE(0),
    recursionDesired: (flags & packet.RECURSION_DESIRED) !== 0,
    opcode: (flags >> 11) & 0xf,
  };
  const decoded = decodeWhole(message);
  const [question, ...others] = decoded?.questions ?? [];
  const opt = decoded?.additionals?.find((record) => record.type === 'OPT');
  return {
    ...header,
    ...(question !== undefined && others.length === 0 && { question }),
    ...(opt !== undefined && { edns: { payloadBytes: opt.udpPayloadSize, version: opt.ednsVersion } }),
  };
}

/** What is at the name that a query asks for; undefined where this server is not authoritative for it. */
export function answerAt(authority: Authority, query: Query): ZoneAnswer | undefined {
  if (query.question === undefined) return undefined;
  const name = canonicalName(query.question.name);
  return apexOf(authority, name) === undefined ? undefined : authority.zone(name);
}

/** The whole answer to a query, as an authoritative server gives it. */
export function replyTo(authority: Authority, query: Query): Buffer {
  const { question } = query;
  if (query.opcode !== 0) return encodeReply(query, RCODE.NOTIMP);
  if (question === undefined) return encodeReply(query, RCODE.FORMERR);
  if (query.edns !== undefined && query.edns.version !== 0) return encodeReply(query, RCODE.BADVERS);
  const name = canonicalName(question.name);
  const apex = apexOf(authority, name);
  if (apex === undefined || question.class !== 'IN') return encodeReply(query, RCODE.REFUSED);
  const found = resolve(authority, apex, name, question.type);
  return encodeReply(query, found.rcode, found);
}

export function servfailTo(query: Query): Buffer {
  return encodeReply(query, RCODE.SERVFAIL);
}

export function refusalTo(query: Query): Buffer {
  return encodeReply(query, RCODE.REFUSED);
}

/** The answer that says only that it is too long for UDP. */
export function truncatedTo(query: Query): Buffer {
  return encodeReply(query, RCODE.NOERROR, { truncated: true });
}

/** How long an answer over UDP may be for this client. */
export function udpLimitBytes({ edns }: Query): number {
  return Math.min(LARGEST_UDP_BYTES, Math.max(PLAIN_UDP_BYTES, edns?.payloadBytes ?? 0));
}

interface Found {
  readonly rcode: Rcode;
  readonly answers: packet.Answer[];
  readonly authorities: packet.Answer[];
}

/** Follows aliases as long as they stay in the zone, as an authoritative server does. */
function resolve(authority: Authority, apex: string, asked: string, type: packet.RecordType): Found {
  const answers: packet.Answer[] = [];
  const passed = new Set<string>();
  let name = asked;
  for (;;) {
    passed.add(name);
    const data = dataOf(authority.zone(name));
    if (data === undefined) return { rcode: RCODE.SERVFAIL, answers: [], authorities: [] };
    if (data.kind === 'cname') {
      answers.push(aliasRecord(authority, name, data));
      const target = canonicalName(data.target);
      const isOver = type === 'CNAME' || passed.has(target) || passed.size > MAX_ALIASES;
      if (isOver || apexOf(authority, target) !== apex) return found(RCODE.NOERROR, answers);
      name = target;
      continue;
    }
    const records = recordsAt(authority, apex, name, data, type);
    answers.push(...records);
    if (records.length > 0) return found(RCODE.NOERROR, answers);
    const exists = data.kind !== 'nxdomain' || name === apex;
    return found(exists ? RCODE.NOERROR : RCODE.NXDOMAIN, answers, [soaRecord(authority, apex)]);
  }
}

function found(rcode: Rcode, answers: packet.Answer[], authorities: packet.Answer[] = []): Found {
  return { rcode, answers, authorities };
}

function recordsAt(
  authority: Authority,
  apex: string,
  name: string,
  data: ZoneData,
  type: packet.RecordType,
): packet.Answer[] {
  if (type === 'SOA' && name === apex) return [soaRecord(authority, apex)];
  if (type !== 'TXT' || data.kind !== 'txt') return [];
  const ttl = data.ttlSeconds ?? authority.ttlSeconds;
  return data.values.map((value) => ({
    type: 'TXT',
    class: 'IN',
    name,
    ttl,
    data: (Array.isArray(value) ? value : [value]).flatMap(stringsOf),
  }));
}

function stringsOf(part: string | Uint8Array): Buffer[] {
  const octets = Buffer.from(part);
  if (octets.length === 0) return [octets];
  const strings: Buffer[] = [];
  for (let from = 0; from < octets.length; from += LARGEST_STRING_OCTETS) {
    strings.push(octets.subarray(from, from + LARGEST_STRING_OCTETS));
  }
  return strings;
}

function aliasRecord(
  authority: Authority,
  name: string,
  alias: Extract<ZoneData, { kind: 'cname' }>,
): packet.Answer {
  const ttl = alias.ttlSeconds ?? authority.ttlSeconds;
  return { type: 'CNAME', class: 'IN', name, ttl, data: alias.target };
}

function soaRecord({ negativeTtlSeconds }: Authority, apex: string): packet.Answer {
  const under = apex === '' ? '' : `.${apex}`;
  return {
    type: 'SOA',
    class: 'IN',
    name: apex === '' ? '.' : apex,
    ttl: negativeTtlSeconds,
    data: {
      mname: `ns${under}`,
      rname: `hostmaster${under}`,
      serial: 1,
      refresh: 3600,
      retry: 600,
      expire: 86_400,
      minimum: negativeTtlSeconds,
    },
  };
}

/** The closest of the server's zones that holds the name: up the labels until one is an apex. */
function apexOf({ apexes }: Authority, name: string): string | undefined {
  for (let at = name; ; at = at.slice(at.indexOf('.') + 1)) {
    if (apexes.has(at)) return at;
    if (!at.includes('.')) return apexes.has('') ? '' : undefined;
  }
}

function encodeReply(
  query: Query,
  rcode: Rcode,
  content: { answers?: packet.Answer[]; authorities?: packet.Answer[]; truncated?: boolean } = {},
): Buffer {
  const isAuthoritative = rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN;
  return packet.encode({
    type: 'response',
    id: query.id,
    flags:
      (query.opcode << 11) |
      (isAuthoritative ? packet.AUTHORITATIVE_ANSWER : 0) |
      (content.truncated === true ? packet.TRUNCATED_RESPONSE : 0) |
      (query.recursionDesired ? packet.RECURSION_DESIRED : 0) |
      (rcode & 0xf),
    questions: query.question === undefined ? [] : [query.question],
    answers: content.answers ?? [],
    authorities: content.authorities ?? [],
    additionals: query.edns === undefined ? [] : [optRecord(rcode)],
  });
}

function optRecord(rcode: Rcode): packet.Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: LARGEST_UDP_BYTES,
    extendedRcode: rcode >> 4,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
}
