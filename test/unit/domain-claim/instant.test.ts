import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { instantMs } from '../../../src/jobs/domain-claim/instant.js';

test.each([
  ['2026-03-10 12:00:00+00', '2026-03-10T12:00:00Z'],
  ['2026-03-10 12:00:00.5+00', '2026-03-10T12:00:00.500Z'],
  ['2026-03-10 17:30:00+05:30', '2026-03-10T12:00:00Z'],
  ['2026-03-10 08:30:00-03:30', '2026-03-10T12:00:00Z'],
  ['2026-03-10T12:00:00.000Z', '2026-03-10T12:00:00Z'],
])('%s is read', (text, iso) => {
  expect(instantMs(text)).toBe(Date.parse(iso));
});

test('microseconds order', () => {
  expect(instantMs('2026-03-10 12:00:00.000001+00')).toBeLessThan(instantMs('2026-03-10 12:00:00.000002+00'));
});

test('infinity is after, and -infinity before, everything', () => {
  expect(instantMs('infinity')).toBe(Infinity);
  expect(instantMs('-infinity')).toBe(-Infinity);
});

test.each([null, '', 'yesterday', '10/03/2026', '0044-03-15 00:00:00+00 BC', '2026-03-10 12:00:00'])(
  'what cannot be read, %p, compares with nothing',
  (text) => {
    expect(instantMs(text)).toBeNaN();
  },
);

test('every time that JavaScript writes is read back', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }), (date) => {
      expect(instantMs(date.toISOString())).toBeCloseTo(date.getTime(), 3);
    }),
  );
});
