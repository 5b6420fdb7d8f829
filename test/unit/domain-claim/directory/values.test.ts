import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { adminOf } from '../../../../src/jobs/directory/list-fields.js';
import { products } from '../../../../src/jobs/directory/list-fields.js';
import { boolean, indexedText, integer, oneOf, timestamp } from '../../../../src/csv/values.js';
import { anyCharacter } from '../../../support/any-character.js';

describe('a time', () => {
  test.each([
    '2026-03-01',
    '2026-03-01T09:30Z',
    '2026-03-01 09:30:00',
    '2026-03-01T09:30:00.123456Z',
    '2026-03-01T09:30:00+05:30',
    '2026-03-01T09:30:00-08',
    '2024-02-29',
    'infinity',
  ])('may be %s', (text) => {
    expect(timestamp(text)).toEqual({ value: text });
  });

  test.each([
    '2026-02-29',
    '2026-04-31',
    '0000-01-01',
    '2026-13-01',
    '2026-03-01T24:00Z',
    '2026-03-01T09:60Z',
    '2026-03-01T09:30:60Z',
    '2026-03-01T09:30:00+16:00',
    '1900-02-29',
  ])('is not %s, which never was', (text) => {
    expect(timestamp(text)).toEqual({ fault: `there is no such time as "${text}"` });
  });

  test.each([
    'now',
    '01/03/2026',
    '1772357400',
    '2026-3-1',
    '2026-03-01T09:30:00 Europe/Berlin',
    ' 2026-03-01',
  ])('is not %s, which could mean several', (text) => {
    expect(timestamp(text)).toEqual({ fault: expect.stringContaining('is not a time such as') });
  });

  test('of any date that JavaScript writes is read', () => {
    fc.assert(
      fc.property(
        fc.date({
          min: new Date('0001-01-01T00:00:00Z'),
          max: new Date('9999-12-31T23:59:59Z'),
          noInvalidDate: true,
        }),
        (date) => {
          expect(timestamp(date.toISOString())).toEqual({ value: date.toISOString() });
        },
      ),
    );
  });
});

describe('the other values', () => {
  test('a boolean is true or false, in a few spellings and any case', () => {
    expect(['TRUE', 't', '1'].map(boolean)).toEqual([{ value: 't' }, { value: 't' }, { value: 't' }]);
    expect(['False', 'f', '0'].map(boolean)).toEqual([{ value: 'f' }, { value: 'f' }, { value: 'f' }]);
    for (const text of ['yes', 'toString', '__proto__', '2']) expect(boolean(text)).toHaveProperty('fault');
  });

  test('a word is exactly one of those that there are', () => {
    const state = oneOf(['PENDING', 'VERIFIED']);
    expect(state('PENDING')).toEqual({ value: 'PENDING' });
    expect(state('verified')).toEqual({
      fault: '"verified" is none of PENDING, VERIFIED; did you mean VERIFIED?',
    });
    expect(state('x')).toEqual({ fault: '"x" is none of PENDING, VERIFIED' });
  });

  test('a whole number fits 32 bits', () => {
    expect(integer('-2147483647')).toEqual({ value: '-2147483647' });
    for (const text of ['2147483648', '1.5', '1e3', '', ' 1']) expect(integer(text)).toHaveProperty('fault');
  });

  test('indexed text is at most 1000 bytes, however many characters', () => {
    expect(indexedText('a'.repeat(1_000))).toHaveProperty('value');
    expect(indexedText('é'.repeat(501))).toEqual({ fault: 'is longer than 1000 bytes' });
  });
});

describe('products', () => {
  test('are names with semicolons between them', () => {
    expect(products('Jira')).toEqual({ value: '["Jira"]' });
    expect(products('Jira;a\\;b\\\\; Trello')).toEqual({ value: '["Jira","a;b\\\\"," Trello"]' });
  });

  test('are read back, whatever their names', () => {
    const names = fc.uniqueArray(fc.string({ unit: anyCharacter, minLength: 1, maxLength: 20 }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(names, (list) => {
        const text = list.map((name) => name.replaceAll(/[;\\]/g, '\\$&')).join(';');
        expect(products(text)).toEqual({ value: JSON.stringify(list) });
      }),
    );
  });

  test.each(['Jira;', ';Jira', ';', 'Jira\\', 'Jira;Jira', `${'x'.repeat(1_001)};Jira`])(
    'are not %s',
    (text) => {
      expect(products(text)).toHaveProperty('fault');
    },
  );
});

describe('admin_of', () => {
  test('names organisations, since when and until when', () => {
    expect(adminOf('o1@2025-01-01;a\\;b\\@c\\\\@2025-01-02/2025-01-03')).toEqual({
      value: JSON.stringify([
        { organisation_id: 'o1', since: '2025-01-01', removed_at: null },
        { organisation_id: 'a;b@c\\', since: '2025-01-02', removed_at: '2025-01-03' },
      ]),
    });
  });

  test.each([
    'o1',
    'o1@',
    '@2025-01-01',
    'o1@2025-01-01;',
    ';',
    'o1@2025-01-01\\',
    'o1@2025-01-01/',
    'o1@soon',
  ])('is not %s', (text) => {
    expect(adminOf(text)).toHaveProperty('fault');
  });
});
