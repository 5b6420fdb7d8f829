import { expect, test } from '@jest/globals';
import { chance, figure } from '../../../src/guard/in-words.js';

test.each([
  [0.5, '0.5'],
  [0.0123, '0.012'],
  [2.5e-4, '2.5e-4'],
  [9.97e-8, '1e-7'],
  [1e-9, '1e-9'],
])('a chance of %p reads %p', (p, words) => expect(chance(Math.log(p))).toBe(words));

test('a chance too small for a number is read all the same', () => {
  expect(chance(-2_000 * Math.LN10 + Math.log(3))).toBe('3e-2000');
  expect(chance(-Infinity)).toBe('0');
});

test.each([
  [4_812, '4,812'],
  [39.7, '40'],
  [0.354, '0.35'],
  [0, '0'],
  [Infinity, 'without bound'],
])('a figure of %p reads %p', (value, words) => expect(figure(value)).toBe(words));
