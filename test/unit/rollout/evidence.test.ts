import { describe, expect, test } from '@jest/globals';
import { type Reach, type RegionShown, worsened, type WaveEvidence } from '../../../src/rollout/evidence.js';

const EU: RegionShown = {
  region: 'eu',
  permille: 100,
  runs: 3,
  changes: 40,
  verdicts: { logins: 'pass', clicks: 'too-few' },
};
const REACH: Reach = { permille: { us: 100 }, units: 40 };

const seen = (changes: Partial<RegionShown> = {}, reach: Reach = REACH): WaveEvidence => ({
  rollout: 'r',
  version: 'v',
  wave: 'rest',
  regions: [{ ...EU, ...changes }],
  reach,
});

const skipped = [{ step: 0, by: 'ann', approvedBy: 'bob', reason: 'a fix' }];

describe('what was approved has become worse', () => {
  test.each<[string, Partial<RegionShown>, string]>([
    [
      'a rule says something worse',
      { verdicts: { ...EU.verdicts, logins: 'no-data' } },
      'has logins no-data, which was pass',
    ],
    ['a rule says nothing any more', { verdicts: { logins: 'pass' } }, 'has no verdict of clicks any more'],
    ['a region lost share', { permille: 10 }, 'has a smaller share'],
    ['runs are gone, since its bake began again', { runs: 1 }, 'has less evidence'],
    ['changes are gone', { changes: 39 }, 'has less evidence'],
    ['a bake was skipped', { skipped }, 'left a bake out'],
    ['it is held', { trouble: 'eu is off' }, 'is held: eu is off'],
  ])('where %s', (_, changes, says) => {
    const worse = worsened(seen(), seen(changes));
    expect(worse).toContain(`eu ${says} (then: 10%, 3 runs, 40 changes, logins pass, clicks too-few; now: `);
  });

  test('where a region is gone', () => {
    expect(worsened(seen(), { ...seen(), regions: [] })).toContain('eu is not part of it any more');
  });

  test.each<[string, Reach]>([
    ['a quarter more units, and 10', { ...REACH, units: 51 }],
    ['a greater share', { ...REACH, permille: { us: 500 } }],
    ['another region', { ...REACH, permille: { us: 100, ap: 100 } }],
  ])('where it would reach %s', (_, reach) => {
    expect(worsened(seen(), seen({}, reach))).toMatch(
      /^it would reach more \(then: 10% of us, about 40 units; now: /,
    );
    const label = { one: 'tenant', many: 'tenants' };
    expect(worsened(seen(), seen({}, reach), label)).toContain('about 40 tenants');
  });
});

describe('it has not become worse', () => {
  test.each<[string, Partial<RegionShown>]>([
    ['there is more evidence', { runs: 9, changes: 400, permille: 500 }],
    ['a rule says something better', { verdicts: { logins: 'pass', clicks: 'pass' } }],
    ['its evidence cannot be read now', { runs: 0, changes: 0, verdicts: { evidence: 'unreachable' } }],
  ])('where %s', (_, changes) => {
    expect(worsened(seen(), seen(changes))).toBeUndefined();
  });

  test.each<[string, WaveEvidence, WaveEvidence]>([
    ['it reaches a few units more', seen(), seen({}, { ...REACH, units: 49 })],
    ['units could not be counted', seen(), seen({}, { ...REACH, units: null })],
    ['it reaches less', seen(), seen({}, { permille: { us: 10 }, units: 4 })],
    ['its reach was not kept, by a release before', { ...seen(), reach: undefined } as never, seen()],
    ['what was skipped then is skipped now', seen({ skipped }), seen({ skipped })],
  ])('where %s', (_, then, now) => {
    expect(worsened(then, now)).toBeUndefined();
  });
});
