import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { exceededCaps } from '../../../src/guard/caps.js';

describe('caps', () => {
  test('say every cap that a plan is over, with the figures', () => {
    const caps = [{ kind: 'claim', perRun: 5000, perUnit: 500, shareOfRegionPermille: 50 }];
    const figures = [
      { kind: 'claim', planned: 6200, largestUnit: { unit: 'acme', planned: 4100 }, rowsInRegion: 100_000 },
    ];
    expect(exceededCaps(caps, figures).map(({ cap, reason }) => [cap, reason])).toEqual([
      ['perRun', '6,200 claim planned, at most 5,000 in a run'],
      ['perUnit', '4,100 claim planned for acme, at most 500 for one unit'],
      ['shareOfRegion', '6,200 claim planned of 100,000 rows in the region, at most 5 %'],
    ]);
  });

  test('do not speak of kinds that a plan does not have', () => {
    expect(exceededCaps([{ kind: 'claim', perRun: 1 }], [])).toEqual([]);
    expect(exceededCaps([{ kind: 'claim', perRun: 1 }], [{ kind: 'claim', planned: 0 }])).toEqual([]);
  });

  test.each([
    ['the first honest change of a small region', 1, 1, undefined, []],
    ['as many as the floor', 10, 0, undefined, []],
    [
      'more, where there are no rows',
      11,
      0,
      undefined,
      ['11 claim planned of 0 rows in the region, at most 40 % or 10'],
    ],
    ['more than a floor of 2', 3, 5, 2, ['3 claim planned of 5 rows in the region, at most 40 % or 2']],
    ['one, with a floor of 0', 1, 0, 0, ['1 claim planned of 0 rows in the region, at most 40 % or 0']],
    [
      'a share of a large region',
      41,
      100,
      undefined,
      ['41 claim planned of 100 rows in the region, at most 40 %'],
    ],
  ])('a share has a floor: %s', (_, planned, rowsInRegion, shareFloor, reasons) => {
    const cap = {
      kind: 'claim',
      shareOfRegionPermille: 400,
      ...(shareFloor !== undefined && { shareFloor }),
    };
    const over = exceededCaps([cap], [{ kind: 'claim', planned, rowsInRegion }]);
    expect(over.map(({ reason }) => reason)).toEqual(reasons);
  });

  test('are over exactly when the count is greater than the limit', () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.nat(10_000), (planned, perRun) => {
        const over = exceededCaps([{ kind: 'claim', perRun }], [{ kind: 'claim', planned }]);
        expect(over.length > 0).toBe(planned > perRun);
      }),
    );
  });
});
