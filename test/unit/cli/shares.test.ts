import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pairShares, parseShare, resolveVersion, sharesText } from '../../../src/cli/shares.js';
import { share } from '../../../src/cli/wording.js';

describe('a share', () => {
  test.each([
    ['25%', 250],
    ['0.1%', 1],
    ['99.5%', 995],
    ['0.7%', 7],
    ['100%', 1000],
    ['100.0%', 1000],
    [' 5 % ', 50],
  ])('%s is %i thousandths', (text, permille) => {
    expect(parseShare(text)).toBe(permille);
  });

  test.each(['25', '0%', '0.0%', '0.05%', '100.1%', '101%', '-5%', '1e1%', '%', '', 'all', '25%%'])(
    '%j is refused, saying what a share looks like',
    (text) => {
      expect(() => parseShare(text)).toThrow(/from 0\.1% to 100% in steps of 0\.1%/);
    },
  );

  test('is written as it is read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), (permille) => {
        expect(parseShare(share(permille))).toBe(permille);
      }),
    );
  });
});

describe('a version', () => {
  const installed = ['1.0.0_9f3c2a1b'];

  test.each(['installed', '1.0.0', '1.0.0_9f', '9f3c', '1.0.0_9f3c2a1b', '1.0.0+9f', '1.0.0+9f3c2a1b'])(
    '%s is the installed one',
    (text) => {
      expect(resolveVersion(text, installed)).toBe('1.0.0_9f3c2a1b');
    },
  );

  test('that is whole may be installed elsewhere', () => {
    expect(resolveVersion('2.0.0_00ff00ff', installed)).toBe('2.0.0_00ff00ff');
    expect(resolveVersion('2.0.0+00ff00ff', installed)).toBe('2.0.0_00ff00ff');
    expect(resolveVersion('2.0.0-rc.1_v1.2-4', installed)).toBe('2.0.0-rc.1_v1.2-4');
  });

  test.each(['2.0.0', '1.0.1', '1.0', '1', '9f', '', '1.0.0-', '0'])(
    '%j is none of them, and the error names them',
    (text) => {
      expect(() => resolveVersion(text, installed)).toThrow(
        expect.objectContaining({
          code: 'FLAG_CHANGE_INVALID',
          hint: expect.stringContaining('1.0.0_9f3c2a1b') as unknown,
        }),
      );
    },
  );

  test('a part of a number names no version', () => {
    for (const text of ['1', '1.1', '1.1.']) {
      expect(() => resolveVersion(text, ['1.10.0_9f3c2a1b'])).toThrow(/no installed version/);
      expect(() => resolveVersion(text, ['1.1.0_9f3c2a1b'])).toThrow(/no installed version/);
    }
    expect(() => resolveVersion('1.0.0', ['1.0.01_9f3c2a1b'])).toThrow(/no installed version/);
  });

  test('that may be several is refused', () => {
    expect(() => resolveVersion('1.0.0', ['1.0.0_aa', '1.0.0_bb'])).toThrow(/any of several/);
    expect(() => resolveVersion('installed', ['1.0.0_aa', '1.0.1_bb'])).toThrow(/any of several/);
    expect(() => resolveVersion('installed', [])).toThrow(/no installed version/);
  });
});

test('versions and shares go in pairs, in the order given', () => {
  const variants = pairShares(['2.0.0_aa', 'installed'], [5, 995], ['1.0.0_9f3c2a1b']);
  expect(variants).toEqual([
    { version: '2.0.0_aa', permille: 5 },
    { version: '1.0.0_9f3c2a1b', permille: 995 },
  ]);
  expect(sharesText(variants)).toBe('2.0.0_aa 0.5%, 1.0.0_9f3c2a1b 99.5%');
  expect(() => pairShares(['installed'], [], ['1.0.0_aa'])).toThrow(
    expect.objectContaining({ code: 'FLAG_CHANGE_INVALID' }),
  );
});
