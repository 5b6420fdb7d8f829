import fc from 'fast-check';

/**
 * Any character: what fast-check calls `binary`, whose first use in a file takes a second, for a table of a million.
 * Like there, printable ASCII comes first: what fails shrinks to it.
 */
export const anyCharacter: fc.Arbitrary<string> = fc.nat(0x10ffff - 0x800).map(
  (at) => String.fromCodePoint(at < 0x80 ? (at + 0x20) % 0x80 : at < 0xd800 ? at : at + 0x800),
  (character) => {
    const [only, ...more] = typeof character === 'string' ? character : [];
    const code = only?.codePointAt(0);
    if (code === undefined || more.length > 0 || (code >= 0xd800 && code < 0xe000))
      throw new Error('not a character');
    return code < 0x80 ? (code + 0x60) % 0x80 : code < 0xd800 ? code : code - 0x800;
  },
);
