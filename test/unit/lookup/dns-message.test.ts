import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import packet from 'dns-packet';
import { encodeQuestion, newQuestion, readReply, type Question } from '../../../src/lookup/dns-message.js';

const question: Question = { id: 4711, name: 'example.test', edns: true };
const plain: Question = { ...question, edns: false };

function reply(changes: Partial<packet.Packet> = {}): Buffer {
  return packet.encode({
    type: 'response',
    id: question.id,
    questions: [{ type: 'TXT', class: 'IN', name: 'example.test' }],
    answers: [{ type: 'TXT', class: 'IN', name: 'example.test', ttl: 5, data: 'token' }],
    ...changes,
  });
}

const badvers: packet.Answer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: 1232,
  extendedRcode: 1,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

describe('a question', () => {
  test('asks for TXT, wants recursion and takes 1232 octets over UDP', () => {
    const decoded = packet.decode(encodeQuestion(question));
    expect(decoded).toMatchObject({
      id: 4711,
      flag_qr: false,
      flag_rd: true,
      questions: [{ name: 'example.test', type: 'TXT', class: 'IN' }],
      additionals: [{ type: 'OPT', udpPayloadSize: 1232 }],
    });
  });

  test('has an id of its own', () => {
    const ids = new Set(Array.from({ length: 64 }, () => newQuestion('example.test', true).id));
    expect(ids.size).toBeGreaterThan(50);
  });
});

describe('a reply', () => {
  test('is taken when it answers the question, in whatever case the server writes the name', () => {
    const shouted = { type: 'TXT', class: 'IN', name: 'EXAMPLE.Test' } as const;
    expect(readReply(reply({ questions: [shouted] }), question)).toMatchObject({
      kind: 'said',
      exists: true,
    });
  });

  test('that says NXDOMAIN says that the name does not exist', () => {
    expect(readReply(reply({ flags: 3, answers: [] }), question)).toMatchObject({
      kind: 'said',
      exists: false,
    });
  });

  test.each([
    [1, 'MALFORMED'],
    [2, 'SERVFAIL'],
    [4, 'REFUSED'],
    [5, 'REFUSED'],
    [6, 'MALFORMED'],
    [9, 'REFUSED'],
  ])('with response code %d is the failure %s', (rcode, code) => {
    expect(readReply(reply({ flags: rcode }), plain)).toEqual({ kind: 'failed', code });
  });

  test.each([
    [1, 'MALFORMED'],
    [4, 'REFUSED'],
  ])('with response code %d to a question with EDNS may be asked for again without it', (rcode, code) => {
    expect(readReply(reply({ flags: rcode }), question)).toEqual({ kind: 'no-edns', code });
  });

  test('whose response code stands in EDNS is not taken for success', () => {
    expect(readReply(reply({ answers: [], additionals: [badvers] }), question)).toEqual({
      kind: 'failed',
      code: 'MALFORMED',
    });
  });

  test('without a question is taken only where the server could not read ours', () => {
    expect(readReply(reply({ questions: [], flags: 1 }), plain)).toEqual({
      kind: 'failed',
      code: 'MALFORMED',
    });
    expect(readReply(reply({ questions: [] }), question)).toEqual({ kind: 'stray', garbled: false });
  });

  test('that is truncated is not read further', () => {
    expect(readReply(reply({ flags: packet.TRUNCATED_RESPONSE }), question)).toEqual({ kind: 'truncated' });
  });

  test.each<[string, Partial<packet.Packet>]>([
    ['under another id', { id: 4712 }],
    ['that is a query', { type: 'query' }],
    ['to another name', { questions: [{ type: 'TXT', class: 'IN', name: 'other.test' }] }],
    ['to another type', { questions: [{ type: 'A', class: 'IN', name: 'example.test' }] }],
    ['to another class', { questions: [{ type: 'TXT', class: 'CH', name: 'example.test' }] }],
    [
      'to two questions',
      {
        questions: [
          { type: 'TXT', class: 'IN', name: 'example.test' },
          { type: 'TXT', class: 'IN', name: 'example.test' },
        ],
      },
    ],
  ])('%s is passed over', (_, changes) => {
    expect(readReply(reply(changes), question)).toEqual({ kind: 'stray', garbled: false });
  });

  test('cut anywhere is malformed, also where the cut goes through a TXT string', () => {
    const whole = reply();
    for (let length = 2; length < whole.length; length += 1) {
      expect(readReply(whole.subarray(0, length), question)).toEqual({ kind: 'failed', code: 'MALFORMED' });
    }
  });

  test('of any octets whatever is read without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
        const read = readReply(Buffer.from(octets), question);
        expect(['said', 'failed', 'truncated', 'stray']).toContain(read.kind);
      }),
    );
  });

  test('with octets changed on the way is read without an exception', () => {
    const whole = reply();
    const position = fc.integer({ min: 0, max: whole.length - 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(position, fc.integer({ min: 0, max: 255 }))), (changes) => {
        const message = Buffer.from(whole);
        for (const [at, octet] of changes) message[at] = octet;
        expect(() => readReply(message, question)).not.toThrow();
      }),
    );
  });
});
