import { domainToUnicode } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseDomainName } from '../../../src/jobs/domain-claim/domain-name.js';
import { HOSTING_PROVIDERS, MAIL_PROVIDERS } from '../../../src/jobs/domain-claim/provider-domains.js';
import { anyCharacter } from '../../support/any-character.js';

const label63 = 'a'.repeat(63);

describe('a domain name that an organisation can own', () => {
  test.each([
    ['a plain name', 'example.com', 'example.com'],
    ['a name under a two-part suffix', 'example.co.uk', 'example.co.uk'],
    ['a subdomain', 'mail.eu.example.com', 'mail.eu.example.com'],
    ['upper case', 'EXAMPLE.Com', 'example.com'],
    ['a trailing dot', 'example.com.', 'example.com'],
    ['upper case and a trailing dot', 'EXAMPLE.COM.', 'example.com'],
    ['an IDN', 'bücher.de', 'xn--bcher-kva.de'],
    ['an IDN in upper case', 'BÜCHER.DE', 'xn--bcher-kva.de'],
    ['an IDN written with a combining mark', 'bu\u0308cher.de', 'xn--bcher-kva.de'],
    ['the punycode twin', 'xn--bcher-kva.de', 'xn--bcher-kva.de'],
    ['an IDN under an IDN suffix', 'пример.рф', 'xn--e1afmkfd.xn--p1ai'],
    ['a label of 63 octets', `${label63}.com`, `${label63}.com`],
    ['hyphens within a label', 'a-b--c.com', 'a-b--c.com'],
    ['a look-alike of a provider that is another name', 'notgmail.com', 'notgmail.com'],
  ])('%s is read', (_, text, name) => {
    expect(parseDomainName(text)).toEqual({ ok: true, name });
  });
});

describe('a domain name is refused with its reason', () => {
  test.each([
    ['nothing', '', 'empty'],
    ['a single dot', '.', 'empty-label'],
    ['a public suffix, co.uk', 'co.uk', 'public-suffix'],
    ['a top-level domain', 'com', 'public-suffix'],
    ['an IDN top-level domain', 'рф', 'public-suffix'],
    ['a private public suffix', 'uk.com', 'public-suffix'],
    ['github.io, where anybody gets a site', 'github.io', 'hosting-provider'],
    ['a site at github.io', 'acme.github.io', 'hosting-provider'],
    ['a bucket at a cloud', 'acme.s3.amazonaws.com', 'hosting-provider'],
    ['localhost', 'localhost', 'unknown-suffix'],
    ['a name under localhost', 'acme.localhost', 'unknown-suffix'],
    ['an unknown top-level domain', 'example.notatld', 'unknown-suffix'],
    ['a name for tests only', 'acme.test', 'unknown-suffix'],
    ['a company-internal name', 'mail.corp', 'unknown-suffix'],
    ['gmail.com', 'gmail.com', 'mail-provider'],
    ['GMAIL.COM with a trailing dot', 'GMAIL.COM.', 'mail-provider'],
    ['another mail provider', 'outlook.com', 'mail-provider'],
    ['a subdomain of a mail provider', 'team.proton.me', 'mail-provider'],
    ['an IPv4 address', '192.0.2.7', 'ip-address'],
    ['an IPv4 address with a trailing dot', '127.0.0.1.', 'ip-address'],
    ['an IPv4 address in hexadecimal', '0x7f.1', 'ip-address'],
    ['an IPv4 address as one number', '2130706433', 'ip-address'],
    ['an IPv6 address', '2001:db8::1', 'ip-address'],
    ['an IPv6 address in brackets', '[::1]', 'ip-address'],
    ['a label over 63', `${label63}a.com`, 'label-too-long'],
    ['an IDN label over 63 in punycode', `${'ü'.repeat(60)}.de`, 'label-too-long'],
    ['a name over 253', `${`${'a'.repeat(49)}.`.repeat(5)}abc.com`, 'name-too-long'],
    ['an empty label, a..b', 'a..b', 'empty-label'],
    ['an empty label before a known suffix', 'a..com', 'empty-label'],
    ['a leading dot', '.example.com', 'empty-label'],
    ['two trailing dots', 'example.com..', 'empty-label'],
    ['a wildcard, *.example.com', '*.example.com', 'wildcard'],
    ['a wildcard within', 'a.*.example.com', 'bad-character'],
    ['a percent escape, %65xample.com', '%65xample.com', 'bad-character'],
    ['a path, ab/c.com', 'ab/c.com', 'bad-character'],
    ['a URL', 'https://example.com', 'bad-character'],
    ['a port', 'example.com:443', 'bad-character'],
    ['a user name', 'ada@example.com', 'bad-character'],
    ['an underscore', '_dmarc.example.com', 'bad-character'],
    ['a space', ' example.com', 'bad-character'],
    ['a newline', 'example.com\n', 'bad-character'],
    ['a null', 'example.com\0', 'bad-character'],
    ['a soft hyphen that would vanish', 'ex\u00adample.com', 'bad-character'],
    ['a zero-width joiner', 'exam\u200dple.com', 'bad-character'],
    ['an ideographic full stop', 'example\u3002com', 'bad-character'],
    ['full-width letters', 'ｅxample.com', 'bad-character'],
    ['a Kelvin sign', '\u212Aelvin-example.org', 'bad-character'],
    ['full-width digits that spell an address', '１２７.0.0.1', 'bad-character'],
    ['mathematical letters', '𝐞xample.com', 'bad-character'],
    ['half a surrogate pair', 'ex\ud800ample.com', 'bad-character'],
    ['punycode that decodes to nothing', 'xn--zzzzzz.com', 'bad-label'],
    ['punycode of plain ASCII', 'xn--a.com', 'bad-label'],
    ['punycode that is cut short', 'xn--bcher-kv.de', 'bad-label'],
    ['punycode of capitals', 'xn--BCHER-ufa.de', 'bad-label'],
    ['a hyphen at the start of a label', '-a.example.com', 'bad-label'],
    ['a hyphen at the end of a label', 'a-.example.com', 'bad-label'],
    ['a reverse-lookup name', '2.0.192.in-addr.arpa', 'reserved'],
    ['an onion address', 'abcdefghij.onion', 'reserved'],
  ])('%s', (_, text, reason) => {
    expect(parseDomainName(text)).toMatchObject({ ok: false, reason });
  });
});

describe('canonical names', () => {
  const texts = fc.oneof(
    fc.string(),
    fc.string({ unit: anyCharacter }),
    fc.domain(),
    fc
      .tuple(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
        fc.constantFrom('com', 'de', 'co.uk', 'рф'),
      )
      .map(([label, suffix]) => `${label}.${suffix}`),
  );

  test('are idempotent: a canonical name is its own canonical name', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const first = parseDomainName(text);
        if (first.ok) expect(parseDomainName(first.name)).toEqual(first);
      }),
      { numRuns: 1_000 },
    );
  });

  test('are plain lower-case ASCII within the limits of DNS', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = parseDomainName(text);
        if (!parsed.ok) return;
        expect(parsed.name).toMatch(/^([a-z0-9-]{1,63}\.)+[a-z0-9-]{1,63}$/);
        expect(parsed.name.length).toBeLessThanOrEqual(253);
      }),
      { numRuns: 1_000 },
    );
  });

  test('are the same for a name, its upper case, its trailing dot and its Unicode twin', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = parseDomainName(text);
        if (!parsed.ok) return;
        for (const twin of [parsed.name.toUpperCase(), `${parsed.name}.`, domainToUnicode(parsed.name)]) {
          expect([parsed, { ok: false, reason: 'bad-character' }]).toContainEqual(parseDomainName(twin));
        }
        expect(parseDomainName(`${parsed.name.toUpperCase()}.`)).toEqual(parsed);
      }),
      { numRuns: 1_000 },
    );
  });
});

test('the provider lists hold plain names, each once', () => {
  const all = [...MAIL_PROVIDERS, ...HOSTING_PROVIDERS];
  expect(new Set(all).size).toBe(all.length);
  for (const name of all) expect(name).toMatch(/^([a-z0-9-]+\.)+[a-z]+$/);
});

test.each(MAIL_PROVIDERS)('%s and what is under it belongs to nobody', (provider) => {
  expect(parseDomainName(provider)).toMatchObject({ ok: false, reason: 'mail-provider' });
  expect(parseDomainName(`acme.${provider}`)).toMatchObject({ ok: false, reason: 'mail-provider' });
});

test('the mail providers that others list are refused too, and no organisation’s own name', () => {
  for (const name of ['wp.pl', 'seznam.cz', 'yahoo.co.jp', 'mail.proton.me', 't-online.de', 'zoho.com'])
    expect([name, parseDomainName(name)]).toMatchObject([name, { ok: false, reason: 'mail-provider' }]);
  for (const name of ['microsoft.com', 'atlassian.com', 'acme.com', 'example.com', 'bbc.co.uk', 'abc.com.au'])
    expect([name, parseDomainName(name)]).toEqual([name, { ok: true, name }]);
});

test.each(HOSTING_PROVIDERS)('%s and what is under it belongs to nobody', (provider) => {
  expect(parseDomainName(provider)).toMatchObject({ ok: false, reason: 'hosting-provider' });
  expect(parseDomainName(`acme.${provider}`)).toMatchObject({ ok: false, reason: 'hosting-provider' });
});
