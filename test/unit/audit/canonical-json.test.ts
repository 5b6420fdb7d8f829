import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../../../src/audit/canonical-json.js';
import { anyCharacter } from '../../support/any-character.js';

/** Every object below a value with its members in another order. */
function turned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turned);
  if (value === null || typeof value !== 'object') return value;
  // fromEntries defines members, also one named __proto__.
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, turned(member)]),
  );
}

describe('canonical JSON', () => {
  test("writes RFC 8785's own example as the RFC does", () => {
    const value = JSON.parse(
      String.raw`{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`,
    ) as unknown;
    expect(canonicalJson(value)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
        String.raw`"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  test('sorts members by UTF-16 code units, as the RFC demands', () => {
    const keys = ['\u20ac', '\r', '\ufb33', '1', '\u{1f600}', '\u0080', '\u00f6'];
    const text = canonicalJson(Object.fromEntries(keys.map((key) => [key, 0])));
    expect(Object.keys(JSON.parse(text) as object)).toEqual([
      '1',
      '\r',
      '\u0080',
      '\u00f6',
      '\u20ac',
      '\u{1f600}',
      '\ufb33',
    ]);
  });

  test.each([
    [-0, '0'],
    [1e21, '1e+21'],
    [5e-324, '5e-324'],
    [Number.MAX_VALUE, '1.7976931348623157e+308'],
    [{ a: undefined, b: 1 }, '{"b":1}'],
    [JSON.parse('{"__proto__": 1, "constructor": {}}'), '{"__proto__":1,"constructor":{}}'],
  ])('writes %p as %s', (value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });

  test('says the same of the same value, in whatever order its members stand', () => {
    fc.assert(
      fc.property(fc.jsonValue({ depthSize: 'medium' }), (value) => {
        if (JSON.stringify(value).includes('\\u0000')) return;
        expect(canonicalJson(turned(value))).toBe(canonicalJson(value));
      }),
    );
  });

  test('says another thing of any other value, and can be read back', () => {
    const value = fc
      .jsonValue({ stringUnit: anyCharacter })
      .filter((each) => !/\\u0000|\\ud[89a-f]/i.test(JSON.stringify(each)));
    fc.assert(
      fc.property(value, value, (one, other) => {
        expect(canonicalJson(JSON.parse(canonicalJson(one)))).toBe(canonicalJson(one));
        const same = canonicalJson(one) === canonicalJson(other);
        // What is read back is the value itself: so two values with one text are one value.
        if (same) expect(JSON.parse(canonicalJson(one))).toEqual(JSON.parse(JSON.stringify(other)));
      }),
    );
  });

  test.each([
    [{ a: [0, Number.NaN] }, 'a[1] is NaN, which JSON cannot hold'],
    [Number.POSITIVE_INFINITY, 'the value is Infinity, which JSON cannot hold'],
    [{ a: { b: '\ud800' } }, 'a.b holds half of a surrogate pair'],
    [{ '\udc00': 1 }, 'holds half of a surrogate pair'],
    [['a\0b'], '[0] holds the character U+0000'],
    [{ at: new Date(0) }, 'at is a Date; write it as text or as a plain object'],
    [{ n: 1n }, 'n is of type bigint'],
    [[undefined], '[0] is of type undefined'],
  ])('refuses %p', (value, message) => {
    expect(() => canonicalJson(value)).toThrow(message);
  });

  test('refuses what is nested deeper than anyone reads, before the stack ends', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 100_000; level += 1) deep = [deep];
    expect(() => canonicalJson(deep)).toThrow('is more than 100 levels deep');
  });
});
