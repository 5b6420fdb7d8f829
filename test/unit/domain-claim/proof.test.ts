import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { DnsFailure, PerspectiveAnswer, TxtAnswer } from '../../../src/lookup/dns.js';
import type { HttpsAnswer, HttpsFailure } from '../../../src/lookup/https.js';
import {
  allowedToDisagree,
  challengeName,
  challengeUrl,
  dnsVerdict,
  findProof,
  httpsVerdict,
  isToken,
  negativeTtlSeconds,
  txtVerdict,
  type Verdict,
} from '../../../src/jobs/domain-claim/proof.js';
import { OTHER_TOKEN, TOKEN } from './samples.js';

const records = (...values: string[]): TxtAnswer => ({ kind: 'records', values, ttlSeconds: 60 });
const present = records(`token=${TOKEN}`);
const absent: TxtAnswer = { kind: 'absent', code: 'NXDOMAIN', negativeTtlSeconds: 900 };
const failed = (code: DnsFailure): TxtAnswer => ({ kind: 'indeterminate', code });
const down = failed('TIMEOUT');
const from = (...answers: TxtAnswer[]): PerspectiveAnswer[] =>
  answers.map((answer, index) => ({ perspective: `192.0.2.${index}:53`, answer }));

const page = (text: string): HttpsAnswer => ({ kind: 'body', status: 200, text });
const notFound: HttpsAnswer = { kind: 'absent', status: 404 };
const unreachable: HttpsAnswer = { kind: 'indeterminate', code: 'UNREACHABLE' };

test('the challenge stands at one name and one address', () => {
  expect(challengeName('example.com')).toBe('_portcullis-challenge.example.com');
  expect(challengeUrl('example.com')).toBe('https://example.com/.well-known/portcullis-challenge.txt');
});

test('a token is at least 32 hexadecimal digits', () => {
  expect([TOKEN, TOKEN.toUpperCase(), 'a'.repeat(200)].every(isToken)).toBe(true);
  expect(
    ['', 'a'.repeat(31), `${TOKEN}g`, `token=${TOKEN}`, `${TOKEN}\n`, 'a'.repeat(201)].some(isToken),
  ).toBe(false);
});

describe('one TXT answer', () => {
  const cases: [string, TxtAnswer, Verdict][] = [
    ['the very line', present, 'PRESENT'],
    [
      'the line among many unrelated records',
      records('v=spf1 -all', 'x'.repeat(4_000), `token=${TOKEN}`, ''),
      'PRESENT',
    ],
    ['NXDOMAIN', absent, 'ABSENT'],
    ['no data', { kind: 'absent', code: 'NODATA', negativeTtlSeconds: 60 }, 'ABSENT'],
    ['many unrelated records', records('v=spf1 -all', 'google-site-verification=1'), 'ABSENT'],
    ['another token', records(`token=${OTHER_TOKEN}`), 'ABSENT'],
    [
      'an old token of the same domain, published again',
      records('token=0123456789abcdef0123456789abcdef'),
      'ABSENT',
    ],
    ['wrong case of the key', records(`TOKEN=${TOKEN}`), 'ABSENT'],
    ['wrong case of the token', records(`token=${TOKEN.toUpperCase()}`), 'ABSENT'],
    ['quotes within the value', records(`"token=${TOKEN}"`), 'ABSENT'],
    ['spaces around', records(` token=${TOKEN} `), 'ABSENT'],
    ['the token without its key', records(TOKEN), 'ABSENT'],
    ['the token and more', records(`token=${TOKEN}00`), 'ABSENT'],
    ['half a token', records(`token=${TOKEN.slice(0, 16)}`), 'ABSENT'],
    ['the line split over two records', records(`token=${TOKEN.slice(0, 16)}`, TOKEN.slice(16)), 'ABSENT'],
    ['an empty answer', records(), 'ABSENT'],
    ['SERVFAIL', failed('SERVFAIL'), 'INDETERMINATE'],
    ['REFUSED', failed('REFUSED'), 'INDETERMINATE'],
    ['a timeout', failed('TIMEOUT'), 'INDETERMINATE'],
    ['garbage', failed('MALFORMED'), 'INDETERMINATE'],
    ['an unreachable resolver', failed('UNREACHABLE'), 'INDETERMINATE'],
    ['a CNAME loop', failed('CNAME_LOOP'), 'INDETERMINATE'],
    ['a name that cannot be asked for', failed('NAME_INVALID'), 'INDETERMINATE'],
  ];
  test.each(cases)('%s', (_, answer, verdict) => {
    expect(txtVerdict(answer, TOKEN)).toBe(verdict);
  });
});

describe('perspectives that disagree', () => {
  test('one may in 2 to 5, two in 6 or more', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 12].map(allowedToDisagree)).toEqual([0, 1, 1, 1, 1, 2, 2, 2]);
  });

  const cases: [string, TxtAnswer[], Verdict][] = [
    ['no perspective at all', [], 'INDETERMINATE'],
    ['one sees it', [present], 'PRESENT'],
    ['one does not', [absent], 'ABSENT'],
    ['one learnt nothing', [down], 'INDETERMINATE'],
    ['two contradict each other', [present, absent], 'INDETERMINATE'],
    ['of two, one sees it and one is down', [present, down], 'PRESENT'],
    ['of two, one misses it and one is down', [absent, down], 'ABSENT'],
    ['two of three see it', [present, absent, present], 'PRESENT'],
    ['two of three miss it', [present, absent, absent], 'ABSENT'],
    ['one of three sees it, two are down', [present, down, down], 'INDETERMINATE'],
    ['one of three misses it, two are down', [absent, down, down], 'INDETERMINATE'],
    ['each of three says something else', [present, absent, down], 'INDETERMINATE'],
    ['four of five see it', [present, present, present, present, absent], 'PRESENT'],
    ['three of five see it', [present, present, present, absent, down], 'INDETERMINATE'],
    ['four of six see it', [present, present, present, present, absent, absent], 'PRESENT'],
    ['three of six see it', [present, present, present, absent, absent, absent], 'INDETERMINATE'],
    ['three of six miss it', [absent, absent, absent, down, down, down], 'INDETERMINATE'],
    ['all are down', [down, down, down, down, down], 'INDETERMINATE'],
  ];
  test.each(cases)('%s', (_, answers, verdict) => {
    expect(dnsVerdict(from(...answers), TOKEN)).toBe(verdict);
  });

  test('their order does not matter, and no failure ever turns a verdict round', () => {
    const answer = fc.constantFrom(present, absent, down);
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 9 }), fc.nat(8), (answers, index) => {
        const verdict = dnsVerdict(from(...answers), TOKEN);
        expect(dnsVerdict(from(...answers.toReversed()), TOKEN)).toBe(verdict);
        const broken = answers.map((each, at) => (at === index ? down : each));
        const after = dnsVerdict(from(...broken), TOKEN);
        if (verdict !== 'INDETERMINATE' && after !== verdict) expect(after).toBe('INDETERMINATE');
      }),
    );
  });
});

describe('one HTTPS answer', () => {
  const failures: HttpsFailure[] = [
    'TIMEOUT',
    'TLS',
    'UNREACHABLE',
    'PRIVATE_ADDRESS',
    'REDIRECT',
    'TOO_LARGE',
    'SERVER_ERROR',
    'MALFORMED',
    'UNEXPECTED_STATUS',
    'URL_INVALID',
  ];
  const cases: [string, HttpsAnswer, Verdict][] = [
    ['the very line', page(`token=${TOKEN}`), 'PRESENT'],
    ['the line with a newline', page(`token=${TOKEN}\n`), 'PRESENT'],
    ['the line among others, from Windows', page(`token=${OTHER_TOKEN}\r\ntoken=${TOKEN}\r\n`), 'PRESENT'],
    ['a 200 page that says "not found"', page('<html><h1>404 not found</h1></html>'), 'ABSENT'],
    ['a page that only mentions the token', page(`<p>token=${TOKEN}</p>`), 'ABSENT'],
    ['another token', page(`token=${OTHER_TOKEN}`), 'ABSENT'],
    ['an empty page', page(''), 'ABSENT'],
    ['404', notFound, 'ABSENT'],
    ...failures.map((code): [string, HttpsAnswer, Verdict] => [
      code,
      { kind: 'indeterminate', code },
      'INDETERMINATE',
    ]),
  ];
  test.each(cases)('%s', (_, answer, verdict) => {
    expect(httpsVerdict(answer, TOKEN)).toBe(verdict);
  });
});

describe('both proofs together', () => {
  const find = (dns: TxtAnswer[], https: HttpsAnswer | null, restsOn: 'dns' | 'https' | null = 'dns') =>
    findProof({ dns: from(...dns), https }, TOKEN, restsOn);

  test('either one suffices', () => {
    expect(find([present], null)).toEqual({ verdict: 'PRESENT', proof: 'dns' });
    expect(find([absent], page(`token=${TOKEN}`))).toEqual({ verdict: 'PRESENT', proof: 'https' });
    expect(find([down], page(`token=${TOKEN}`))).toEqual({ verdict: 'PRESENT', proof: 'https' });
  });

  test('a record that is gone is absent, also where the domain has no web server', () => {
    expect(find([absent], unreachable)).toEqual({ verdict: 'ABSENT', proof: null });
    expect(find([absent], unreachable, null)).toEqual({ verdict: 'ABSENT', proof: null });
    expect(find([absent], notFound)).toEqual({ verdict: 'ABSENT', proof: null });
  });

  test('all resolvers down is no absence, whatever the web server says, for a domain that rests on DNS', () => {
    expect(find([down, down, down], notFound).verdict).toBe('INDETERMINATE');
    expect(find([down, down, down], unreachable).verdict).toBe('INDETERMINATE');
  });

  test('a web server that is down is no absence for a domain that rests on HTTPS', () => {
    expect(find([absent], unreachable, 'https').verdict).toBe('INDETERMINATE');
    expect(find([absent], notFound, 'https').verdict).toBe('ABSENT');
  });

  test('a parent that is verified says nothing about its child', () => {
    expect(challengeName('child.example.com')).not.toBe(challengeName('example.com'));
    expect(find([absent], notFound).verdict).toBe('ABSENT');
  });
});

test('an absence may live in a cache as long as the longest TTL of all answers', () => {
  const dns = from(absent, records('unrelated'), down);
  expect(negativeTtlSeconds({ dns, https: null })).toBe(900);
  expect(negativeTtlSeconds({ dns: from(records('unrelated')), https: null })).toBe(60);
  expect(negativeTtlSeconds({ dns: [], https: notFound })).toBe(0);
});
