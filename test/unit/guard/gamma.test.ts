import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { lnBeta, lnGamma } from '../../../src/guard/gamma.js';

describe('lnGamma', () => {
  test.each([
    [1, 0],
    [2, 0],
    [0.5, 0.5 * Math.log(Math.PI)],
    [1.5, Math.log(Math.sqrt(Math.PI) / 2)],
    [11, Math.log(3_628_800)],
    // Computed with fifty digits: mpmath's loggamma.
    [1e-5, 11.5129196928958257],
    [3.7, 1.42807232666538792],
    [100, 359.134205369575399],
    [1e7, 151180949.369473914],
  ])('of %p is %p', (x, value) => {
    expect(Math.abs(lnGamma(x) - value)).toBeLessThanOrEqual(3e-15 * Math.max(1, Math.abs(value)));
  });

  test('grows by ln x from x to x + 1', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1e4, noNaN: true }), (x) => {
        const step = lnGamma(x + 1) - lnGamma(x);
        expect(Math.abs(step - Math.log(x))).toBeLessThan(1e-14 * Math.max(10, lnGamma(x + 1)));
      }),
    );
  });

  test('is not asked for what has none', () => {
    for (const x of [0, -1, Number.NaN]) expect(() => lnGamma(x)).toThrow(RangeError);
  });
});

describe('lnBeta', () => {
  test.each([
    [0.5, 0.5, Math.log(Math.PI)],
    [1, 7, -Math.log(7)],
    [2, 3, -Math.log(12)],
    [0.5, 1e8, -8.63797542780148265],
    [3.25, 1e9, -66.4148120426233609],
    [1e6, 1e9, -7908261.10071566603],
  ])('of %p and %p is %p', (a, b, value) => {
    expect(Math.abs(lnBeta(a, b) - value)).toBeLessThanOrEqual(5e-15 * Math.max(1, Math.abs(value)));
  });

  test('keeps the law B(a + 1, b) = B(a, b)·a/(a + b), also where gammas alone would lose it', () => {
    const positive = fc.double({ min: 0.25, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(positive, positive, (a, b) => {
        const step = lnBeta(a + 1, b) - lnBeta(a, b);
        const scale = Math.max(1, Math.abs(lnBeta(a, b)));
        expect(Math.abs(step - Math.log(a / (a + b)))).toBeLessThan(1e-14 * scale);
        expect(lnBeta(b, a)).toBe(lnBeta(a, b));
      }),
    );
  });
});
