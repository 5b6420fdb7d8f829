import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalName, isAskable, isWithin } from '../../../src/lookup/dns-name.js';

describe('a name', () => {
  test('is compared without regard to case and to the root’s dot', () => {
    expect(canonicalName('_Portcullis-Challenge.EXAMPLE.test.')).toBe('_portcullis-challenge.example.test');
  });

  test('keeps letters that are not ASCII, even those that lower case would make ASCII', () => {
    expect(canonicalName('\u212aelvin.test')).toBe('\u212aelvin.test');
  });

  test.each([
    ['example.test', true],
    ['example.test.', true],
    ['_portcullis-challenge.example.test', true],
    [`${'a'.repeat(63)}.test`, true],
    [`${'a'.repeat(64)}.test`, false],
    [`${'a.'.repeat(126)}a`, true],
    [`${'a.'.repeat(126)}ab`, false],
    ['a..b', false],
    ['.example.test', false],
    ['', false],
    ['.', false],
    ['exa mple.test', false],
    ['exämple.test', false],
  ])('%j can be asked for: %s', (name, askable) => {
    expect(isAskable(name)).toBe(askable);
  });

  test('is within its own zone, its parents’ and the root’s, and not within one that only ends alike', () => {
    expect(isWithin('a.example.test', 'example.test')).toBe(true);
    expect(isWithin('example.test', 'example.test')).toBe(true);
    expect(isWithin('a.example.test', '')).toBe(true);
    expect(isWithin('evil-example.test', 'example.test')).toBe(false);
  });

  test('is canonical once it has been made so', () => {
    fc.assert(
      fc.property(fc.domain(), (name) => {
        expect(canonicalName(canonicalName(name.toUpperCase()))).toBe(canonicalName(`${name}.`));
      }),
    );
  });
});
