import { describe, expect, test } from '@jest/globals';
import packet from 'dns-packet';
import { listedZone, type ZoneAnswer } from '../../../src/demo/zone-answer.js';
import { deliver, type Transport } from '../../../src/demo/zone-delivery.js';
import { readQuery, replyTo, type Authority } from '../../../src/demo/zone-reply.js';

const names = new Map<string, ZoneAnswer>([
  ['a.example.test', { kind: 'txt', values: ['short', 'x'.repeat(300), ['two', 'strings']] }],
  ['big.example.test', { kind: 'txt', values: Array.from({ length: 40 }, () => 'y'.repeat(100)) }],
  ['huge.example.test', { kind: 'txt', values: Array.from({ length: 700 }, () => 'z'.repeat(100)) }],
  ['alias.example.test', { kind: 'cname', target: 'a.example.test' }],
  ['out.example.test', { kind: 'cname', target: 'a.elsewhere.test' }],
  ['dangling.example.test', { kind: 'cname', target: 'gone.example.test' }],
  ['loop.example.test', { kind: 'cname', target: 'pool.example.test' }],
  ['pool.example.test', { kind: 'cname', target: 'loop.example.test' }],
  ['deep.below.example.test', { kind: 'txt', values: ['deep'] }],
]);
const authority: Authority = {
  apexes: new Set(['example.test', 'child.example.test']),
  zone: listedZone(names),
  ttlSeconds: 30,
  negativeTtlSeconds: 7,
};

const query = (question: packet.Question, changes: Partial<packet.Packet> = {}): Buffer =>
  packet.encode({
    type: 'query',
    id: 99,
    flags: packet.RECURSION_DESIRED,
    questions: [question],
    ...changes,
  });
const edns = (udpPayloadSize: number, ednsVersion = 0): packet.Answer => ({
  type: 'OPT',
  name: '.',
  udpPayloadSize,
  extendedRcode: 0,
  ednsVersion,
  flags: 0,
  flag_do: false,
  options: [],
});

function ask(message: Buffer): packet.DecodedPacket & { rcode: number } {
  const read = readQuery(message);
  if (read === undefined) throw new Error('no query');
  const decoded = packet.decode(replyTo(authority, read));
  return { ...decoded, rcode: (decoded.flags ?? 0) & 0xf };
}
const askTxt = (name: string) => ask(query({ type: 'TXT', name }));

describe('the zone’s answer', () => {
  test('has the records, under the id and question asked, with the authority bit and no recursion', () => {
    const answer = askTxt('A.Example.test');
    expect(answer).toMatchObject({
      id: 99,
      flag_aa: true,
      flag_rd: true,
      flag_ra: false,
      flag_tc: false,
      rcode: 0,
    });
    expect(answer.questions).toEqual([{ type: 'TXT', class: 'IN', name: 'A.Example.test' }]);
    const strings = answer.answers?.map((record) =>
      record.type === 'TXT' ? [record.data].flat().map(String) : [],
    );
    expect(strings).toEqual([['short'], ['x'.repeat(255), 'x'.repeat(45)], ['two', 'strings']]);
  });

  test('for a name that does not exist is NXDOMAIN with the SOA of its zone', () => {
    const answer = askTxt('gone.example.test');
    expect(answer).toMatchObject({ rcode: 3, flag_aa: true, answers: [] });
    expect(answer.authorities).toMatchObject([
      { type: 'SOA', name: 'example.test', ttl: 7, data: { minimum: 7, mname: 'ns.example.test' } },
    ]);
  });

  test.each([
    ['a name above others', { type: 'TXT', name: 'below.example.test' }],
    ['the apex', { type: 'TXT', name: 'child.example.test' }],
    ['another type', { type: 'MX', name: 'a.example.test' }],
  ] as const)('for %s is no data: NOERROR with the SOA', (_, question) => {
    const answer = ask(query(question));
    expect(answer).toMatchObject({ rcode: 0, answers: [] });
    expect(answer.authorities).toHaveLength(1);
  });

  test('comes from the closest zone', () => {
    expect(askTxt('x.child.example.test').authorities).toMatchObject([{ name: 'child.example.test' }]);
  });

  test('holds an alias and, within the zone, what it leads to', () => {
    expect(askTxt('alias.example.test').answers?.map((record) => record.type)).toEqual([
      'CNAME',
      'TXT',
      'TXT',
      'TXT',
    ]);
    expect(askTxt('out.example.test')).toMatchObject({
      rcode: 0,
      answers: [{ type: 'CNAME' }],
      authorities: [],
    });
    expect(askTxt('dangling.example.test')).toMatchObject({ rcode: 3, answers: [{ type: 'CNAME' }] });
    expect(ask(query({ type: 'CNAME', name: 'alias.example.test' })).answers).toHaveLength(1);
  });

  test('to an alias loop ends', () => {
    expect(askTxt('loop.example.test').answers).toHaveLength(2);
  });

  test('to the apex’s SOA question is the SOA', () => {
    expect(ask(query({ type: 'SOA', name: 'example.test' })).answers).toMatchObject([{ type: 'SOA' }]);
  });

  test('out of zone or out of class is REFUSED, without the authority bit', () => {
    expect(askTxt('a.elsewhere.test')).toMatchObject({ rcode: 5, flag_aa: false });
    expect(askTxt('evil-example.test')).toMatchObject({ rcode: 5 });
    expect(ask(query({ type: 'TXT', class: 'CH', name: 'a.example.test' }))).toMatchObject({ rcode: 5 });
  });

  test('to what it cannot read is FORMERR, and to another opcode NOTIMP', () => {
    const cut = query({ type: 'TXT', name: 'a.example.test' }).subarray(0, 20);
    expect(ask(cut)).toMatchObject({ id: 99, rcode: 1 });
    expect(ask(packet.encode({ type: 'query', id: 99, questions: [] }))).toMatchObject({ rcode: 1 });
    expect(ask(query({ type: 'SOA', name: 'example.test' }, { flags: 4 << 11 }))).toMatchObject({ rcode: 4 });
  });

  test('to a later EDNS is BADVERS', () => {
    const answer = ask(query({ type: 'TXT', name: 'a.example.test' }, { additionals: [edns(1232, 1)] }));
    expect(answer).toMatchObject({ rcode: 0, answers: [], additionals: [{ extendedRcode: 1 }] });
  });

  test('to an answer, or to less than a header, is nothing', () => {
    expect(readQuery(Buffer.alloc(11))).toBeUndefined();
    expect(readQuery(packet.encode({ type: 'response', id: 1 }))).toBeUndefined();
  });
});

describe('what is sent', () => {
  const send = async (
    name: string,
    transport: Transport,
    additionals: packet.Answer[] = [],
    zone = authority,
  ) => {
    const message = query({ type: 'TXT', name }, { additionals });
    const reply = await deliver(zone, message, transport, new AbortController().signal);
    if (reply === undefined) throw new Error('nothing was sent');
    return { reply, decoded: packet.decode(reply) };
  };

  test('is whole over TCP and, where it is too long for the client, only a truncation over UDP', async () => {
    expect((await send('big.example.test', 'tcp')).decoded.answers).toHaveLength(40);
    for (const additionals of [[], [edns(1232)], [edns(65_535)]]) {
      const { reply, decoded } = await send('big.example.test', 'udp', additionals);
      expect(decoded).toMatchObject({ flag_tc: true, answers: [] });
      expect(reply.length).toBeLessThanOrEqual(512);
    }
  });

  test('follows the client’s EDNS size', async () => {
    expect((await send('a.example.test', 'udp')).decoded.flag_tc).toBe(false);
    const { decoded } = await send('alias.example.test', 'udp', [edns(600)]);
    expect(decoded.flag_tc).toBe(false);
    const large = [edns(4096)];
    expect((await send('big.example.test', 'udp', large)).decoded.flag_tc).toBe(true);
  });

  test('is SERVFAIL where the zone throws or has more than a message holds', async () => {
    expect((await send('huge.example.test', 'tcp')).decoded.flags).toBe(packet.RECURSION_DESIRED | 2);
    const broken: Authority = {
      ...authority,
      zone: () => {
        throw new Error('broken');
      },
    };
    expect((await send('a.example.test', 'udp', [], broken)).decoded.flags).toBe(
      packet.RECURSION_DESIRED | 2,
    );
  });
});
