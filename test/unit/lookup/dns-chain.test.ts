import { describe, expect, test } from '@jest/globals';
import type { Answer } from 'dns-packet';
import fc from 'fast-check';
import { chainFrom, endOf, readAlong, textOf } from '../../../src/lookup/dns-chain.js';
import type { Said } from '../../../src/lookup/dns-message.js';

const txt = (name: string, data: string | Buffer[], ttl = 60): Answer => ({
  type: 'TXT',
  class: 'IN',
  name,
  ttl,
  data,
});
const cname = (name: string, data: string, ttl = 60): Answer => ({
  type: 'CNAME',
  class: 'IN',
  name,
  ttl,
  data,
});
const soa = (name: string, ttl: number, minimum: number): Answer => ({
  type: 'SOA',
  class: 'IN',
  name,
  ttl,
  data: { mname: 'ns.test', rname: 'hostmaster.test', minimum },
});
const ns = (name: string): Answer => ({ type: 'NS', class: 'IN', name, ttl: 60, data: 'ns.elsewhere.test' });
const said = (answers: Answer[], authorities: Answer[] = [], exists = true): Said => ({
  kind: 'said',
  exists,
  answers,
  authorities,
});
const read = (answer: Said) => readAlong(chainFrom('a.test'), answer);

describe('an answer’s records', () => {
  test('are those of the name asked for, with the smallest TTL of all that led there', () => {
    const answers = [cname('A.test', 'b.test', 30), txt('B.TEST', 'one', 50), txt('b.test', 'two', 40)];
    expect(read(said(answers))).toEqual({ kind: 'records', values: ['one', 'two'], ttlSeconds: 30 });
  });

  test('do not count under another name, in another class, or beside an alias', () => {
    const answers = [
      txt('evil.test', 'planted'),
      { ...txt('a.test', 'chaos'), class: 'CH' } as Answer,
      txt('a.test', 'beside'),
      cname('a.test', 'b.test'),
      txt('b.test', 'real'),
    ];
    expect(read(said(answers))).toMatchObject({ values: ['real'] });
  });

  test('with a TTL whose top bit is set may not be kept', () => {
    expect(read(said([txt('a.test', 'x', 2 ** 31)]))).toMatchObject({ ttlSeconds: 0 });
  });

  test('join their strings before they are read as UTF-8, so that a split character stays whole', () => {
    const octets = Buffer.from('token=ü');
    expect(read(said([txt('a.test', [octets.subarray(0, 7), octets.subarray(7)])]))).toMatchObject({
      values: ['token=ü'],
    });
  });

  test('keep quotes, backslashes, spaces and a byte-order mark as they are', () => {
    expect(textOf(Buffer.from('\ufeff "token=\\"x" '))).toBe('\ufeff "token=\\"x" ');
  });

  test('lose no octet, whatever they hold', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
        const text = textOf(Buffer.from(octets));
        const back = [Buffer.from(text, 'utf8'), Buffer.from(text, 'latin1')];
        expect(back.some((bytes) => bytes.equals(octets))).toBe(true);
      }),
    );
  });

  test('that contradict an NXDOMAIN are malformed', () => {
    expect(read(said([txt('a.test', 'x')], [], false))).toEqual({ kind: 'indeterminate', code: 'MALFORMED' });
  });
});

describe('an absence', () => {
  test('lasts as long as the smaller of the SOA’s TTL and its minimum', () => {
    expect(read(said([], [soa('test', 300, 20)], false))).toEqual({
      kind: 'absent',
      code: 'NXDOMAIN',
      negativeTtlSeconds: 20,
    });
    expect(read(said([], [soa('a.test', 30, 900)]))).toEqual({
      kind: 'absent',
      code: 'NODATA',
      negativeTtlSeconds: 30,
    });
  });

  test('whose SOA is missing, or of another zone, is taken to last an hour', () => {
    expect(read(said([], [], false))).toMatchObject({ code: 'NXDOMAIN', negativeTtlSeconds: 3600 });
    expect(read(said([], [soa('other.test', 5, 5)]))).toMatchObject({
      code: 'NODATA',
      negativeTtlSeconds: 3600,
    });
  });

  test('of the alias’s target is the absence of what was asked for', () => {
    expect(read(said([cname('a.test', 'b.test')], [soa('test', 9, 9)], false))).toMatchObject({
      code: 'NXDOMAIN',
    });
    expect(read(said([cname('a.test', 'b.test')], [soa('test', 9, 9)]))).toMatchObject({ code: 'NODATA' });
  });

  test('is not what a referral to other servers says', () => {
    expect(read(said([], [ns('test')]))).toEqual({ kind: 'indeterminate', code: 'REFERRAL' });
    expect(read(said([], [ns('test'), soa('test', 9, 9)]))).toMatchObject({ code: 'NODATA' });
  });
});

describe('a chain of aliases', () => {
  const aliases = (count: number): Answer[] =>
    Array.from({ length: count }, (_, index) =>
      cname(index === 0 ? 'a.test' : `n${index}.test`, `n${index + 1}.test`),
    );

  test('that the answer leaves unfinished goes on with a further question', () => {
    const next = read(said([cname('a.test', 'b.other')], [ns('other')]));
    expect(next).toEqual({ kind: 'chain', names: ['a.test', 'b.other'], ttlSeconds: 60 });
    if (next.kind !== 'chain') throw new Error('not a chain');
    expect(endOf(next)).toBe('b.other');
    expect(readAlong(next, said([txt('b.other', 'found', 20)]))).toEqual({
      kind: 'records',
      values: ['found'],
      ttlSeconds: 20,
    });
  });

  test('of 8 is followed, and of 9 is taken for a loop', () => {
    expect(read(said([...aliases(8), txt('n8.test', 'end')]))).toMatchObject({ values: ['end'] });
    expect(read(said([...aliases(9), txt('n9.test', 'end')]))).toEqual({
      kind: 'indeterminate',
      code: 'CNAME_LOOP',
    });
  });

  test('that comes back to itself is a loop, also over several answers and in another case', () => {
    expect(read(said([cname('a.test', 'A.TEST.')]))).toMatchObject({ code: 'CNAME_LOOP' });
    const next = read(said([cname('a.test', 'b.test')]));
    if (next.kind !== 'chain') throw new Error('not a chain');
    expect(readAlong(next, said([cname('b.test', 'a.test')]))).toMatchObject({ code: 'CNAME_LOOP' });
  });

  test('that forks is malformed; the same alias twice is no fork', () => {
    expect(read(said([cname('a.test', 'b.test'), cname('a.test', 'c.test')]))).toMatchObject({
      code: 'MALFORMED',
    });
    const twice = [cname('a.test', 'b.test'), cname('a.test', 'B.test'), txt('b.test', 'x')];
    expect(read(said(twice))).toMatchObject({ values: ['x'] });
  });
});
