import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseEmailAddress } from '../../../src/jobs/domain-claim/email-address.js';

describe('a plain address', () => {
  test.each([
    ['ada@example.com', 'ada', 'example.com'],
    ['Ada.Lovelace+flags@Example.COM', 'Ada.Lovelace+flags', 'example.com'],
    ["o'brien@example.com", "o'brien", 'example.com'],
    ['ada@mail.example.com', 'ada', 'mail.example.com'],
    ['ada@bücher.de', 'ada', 'xn--bcher-kva.de'],
    ['ada@xn--bcher-kva.de', 'ada', 'xn--bcher-kva.de'],
  ])('%s is read', (text, local, domain) => {
    expect(parseEmailAddress(text)).toEqual({ ok: true, local, domain });
  });

  test('at another domain that only ends alike is at that other domain', () => {
    expect(parseEmailAddress('a@evil-example.com')).toEqual({
      ok: true,
      local: 'a',
      domain: 'evil-example.com',
    });
  });
});

describe('an address is refused', () => {
  test.each([
    ['with two @', 'a@example.com@evil.com'],
    ['with a quoted @', '"a@b"@example.com'],
    ['with a display name', 'Ada <ada@example.com>'],
    ['with a comment', 'ada(work)@example.com'],
    ['with a newline at the end', 'ada@example.com\n'],
    ['with a newline within', 'ada\n@example.com'],
    ['with a carriage return and a header', 'ada@example.com\r\nBcc: eve@evil.com'],
    ['with a space', 'ada lovelace@example.com'],
    ['with a leading space', ' ada@example.com'],
    ['with a null', 'ada\0@example.com'],
    ['with a trailing dot', 'ada@example.com.'],
    ['with no local part', '@example.com'],
    ['with no domain', 'ada@'],
    ['with no @', 'example.com'],
    ['that is empty', ''],
    ['with a dot at the start', '.ada@example.com'],
    ['with two dots', 'a..b@example.com'],
    ['with a local part over 64', `${'a'.repeat(65)}@example.com`],
    ['over 254', `${'a'.repeat(60)}@${`${'b'.repeat(60)}.`.repeat(3)}example.com`],
    ['with letters beyond ASCII before the @', 'аda@example.com'],
    ['at an address literal', 'ada@[192.0.2.7]'],
    ['at an encoded domain', 'ada@%65xample.com'],
    ['at a name that nobody owns', 'ada@localhost'],
    ['at a mail provider', 'ada@gmail.com'],
  ])('%s', (_, text) => {
    expect(parseEmailAddress(text).ok).toBe(false);
  });
});

test('whatever is read has one @, and reads the same when put together again', () => {
  const texts = fc.oneof(
    fc.emailAddress(),
    fc.string(),
    fc.string().map((local) => `${local}@example.com`),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const address = parseEmailAddress(text);
      if (!address.ok) return;
      expect(text.split('@')).toHaveLength(2);
      expect(parseEmailAddress(`${address.local}@${address.domain}`)).toEqual(address);
    }),
    { numRuns: 2_000 },
  );
});
