import { describe, expect, test } from '@jest/globals';
import type { Rule } from '../../../src/flags/guard-policy.js';
import { closedBy, closingOf, sharedEvidence } from '../../../src/containment/closing.js';

const VERSION = '1.1.0_00000001';

describe('what a trip is to close', () => {
  test.each([
    // version, onTrip.close, rules with shared evidence, closes
    [VERSION, undefined, [], 'candidate', 'the evidence is its own'],
    [VERSION, undefined, ['errors'], 'region', 'errors: the evidence is not of this version alone'],
    [VERSION, 'candidate', [], 'candidate', 'the policy says onTrip.close: candidate'],
    [VERSION, 'candidate', ['errors'], 'candidate', 'the policy says onTrip.close: candidate'],
    [VERSION, 'region', [], 'region', 'the policy says onTrip.close: region'],
    [VERSION, 'region', ['errors'], 'region', 'the policy says onTrip.close: region'],
    [null, undefined, [], 'region', 'no version is named'],
    [null, 'candidate', [], 'region', 'no version is named'],
    [null, 'region', ['errors'], 'region', 'no version is named'],
  ] as const)('of %s under %s with %j is the %s', (version, close, shared, closes, why) => {
    const onTrip = { restore: 'propose', ...(close !== undefined && { close }) } as const;
    expect(closingOf(onTrip, { version, shared })).toEqual({ close: closes, why });
  });

  test.each([
    // to close, candidacy, closes
    ['candidate', 'candidate', 'candidate', 'its own, and its rollout in eu is unfinished'],
    ['candidate', 'none', 'region', `${VERSION} is no candidate in eu`],
    [
      'candidate',
      'unknown',
      'region',
      `the control database did not say whether ${VERSION} is a candidate in eu`,
    ],
    ['region', 'candidate', 'region', 'its own'],
    ['region', 'none', 'region', 'its own'],
    ['region', 'unknown', 'region', 'its own'],
  ] as const)('%s of a version that is %s closes the %s', (close, candidacy, closes, why) => {
    const closing = { close, why: 'its own' };
    expect(closedBy(closing, candidacy, { version: VERSION, region: 'eu' })).toEqual({ close: closes, why });
  });
});

describe('evidence that is not one version’s alone', () => {
  const query = (text: string): Rule => ({
    ...{ kind: 'promql', name: 'errors', above: 1, forMs: 0 },
    query: text,
  });
  test.each([
    ['a query that names the version', query('errors{v="{{ version }}"}'), []],
    ['a query of the region', query('errors{region="{{region}}"}'), ['errors']],
    ['an alert', { kind: 'alert', name: 'errors' }, ['errors']],
    [
      'outcomes beside the stable version’s',
      { kind: 'outcome', name: 'errors', event: 'e', alpha: 0.01, tolerance: 1 },
      [],
    ],
    [
      'a rule that the policy does not have',
      { kind: 'outcome', name: 'other', event: 'e', alpha: 0.01, tolerance: 1 },
      ['errors'],
    ],
  ] as const)('is told of %s', (_, rule, shared) => {
    expect(sharedEvidence([rule], ['errors'])).toEqual(shared);
  });
});
