import { describe, expect, test } from '@jest/globals';
import { shorten, storable, storableJson } from '../../../src/kernel/text.js';

const SIREN = '🚨';
const FAMILY = '👨‍👩‍👧‍👦';
const FLAG = '🇩🇪';

describe('storable', () => {
  test('replaces U+0000 and lone surrogates, and nothing else', () => {
    expect(storable(`a\0b\ud83dc\udea8${SIREN}\ud83d`)).toBe(`a\ufffdb\ufffdc\ufffd${SIREN}\ufffd`);
    expect(storable('plain \u0001 é \\u0000')).toBe('plain \u0001 é \\u0000');
  });
});

describe('storableJson', () => {
  test('replaces them in values and in keys, at every depth', () => {
    const json = storableJson({ 'k\0': ['\ud83d', { deep: `x\udea8${SIREN}` }] });
    expect(JSON.parse(json)).toEqual({ 'k\ufffd': ['\ufffd', { deep: `x\ufffd${SIREN}` }] });
    expect(json).not.toMatch(/\\u0000|\\ud/);
  });

  test('leaves text alone that only looks like an escape', () => {
    const value = { a: '\\u0000', b: '\\\\ud83d', c: '\\', d: '"\n\t\u0001\u001f', e: 'ud83d' };
    expect(JSON.parse(storableJson(value))).toEqual(value);
  });
});

describe('shorten', () => {
  test('leaves a text alone that fits', () => {
    expect(shorten('', 5)).toBe('');
    expect(shorten('12345', 5)).toBe('12345');
  });

  test('ends a longer one in an ellipsis, within the length', () => {
    expect(shorten('123456', 5)).toBe('1234…');
  });

  test.each([
    ['a pair of surrogates', SIREN],
    ['a family of four', FAMILY],
    ['a flag', FLAG],
    ['a letter and its accents', 'e\u0301\u0323'],
    ['a Hangul syllable in parts', '\u1112\u1161\u11ab'],
    ['a line end of two', '\r\n'],
  ])('never splits %s, wherever it stands', (_, character) => {
    const text = `${'a'.repeat(20)}${character}${'b'.repeat(80)}`;
    for (let most = 2; most < 40 + character.length; most += 1) {
      const cut = shorten(text, most);
      expect(cut.length).toBeLessThanOrEqual(most);
      const kept = cut.slice(0, -1);
      const inside = kept.length > 20 && kept.length < 20 + character.length;
      expect({ most, inside, begins: text.startsWith(kept) }).toEqual({ most, inside: false, begins: true });
      // As much as fits.
      const room = most - 1;
      const whole = room >= 20 && room < 20 + character.length ? 20 : room;
      expect(kept).toHaveLength(whole);
    }
  });

  test('cuts a character that is longer than all the room between two code points', () => {
    expect(shorten(`e${'\u0301'.repeat(50)}`, 10)).toBe(`e${'\u0301'.repeat(8)}…`);
    const tower = `${SIREN}${'\u{1F3FB}'.repeat(50)}`;
    for (const most of [9, 10]) expect(shorten(tower, most)).not.toMatch(/\p{Surrogate}/u);
  });

  test('makes what it keeps storable, cut or not', () => {
    expect(shorten('a\0\ud83d', 10)).toBe('a\ufffd\ufffd');
    expect(shorten(`a\0\ud83d${'b'.repeat(20)}`, 5)).toBe('a\ufffd\ufffdb…');
  });

  test('reads no more of a text of 50 million characters than it keeps: read whole a thousand times, it takes hours', () => {
    const text = `${'\u{1F1E9}'.repeat(1_000)}${'x'.repeat(50_000_000)}`;
    const cut = Array.from({ length: 1_000 }, () => shorten(text, 500));
    expect(new Set(cut)).toEqual(new Set([shorten('\u{1F1E9}'.repeat(1_000), 500)]));
  });
});
