import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Change } from '../../../src/journal/change.js';
import { PlanTally, type PlanWritten } from '../../../src/journal/plan-tally.js';

const changeOf = (kind: string, unit: string, requires: readonly string[] = []): Change => ({
  resource: kind === 'verify' ? 'domain' : 'account',
  key: 'k',
  before: { state: 'a' },
  after: { state: 'b' },
  kind,
  unit,
  ...(requires.length > 0 && { requires: requires.map((resource) => ({ resource, key: 'r', image: {} })) }),
  evidence: {},
});

function written(changes: readonly Change[], lanes = 4): PlanWritten {
  const tally = new PlanTally(lanes);
  for (const change of changes) tally.take(change);
  return tally.written();
}

const claimsOf = (units: Readonly<Record<string, number>>): Change[] =>
  Object.entries(units).flatMap(([unit, claims]) =>
    Array.from({ length: claims }, () => changeOf('claim', unit)),
  );

describe('what is counted of a plan', () => {
  test('is its changes and the units that have any, by kind', () => {
    const changes = [...claimsOf({ 'org-1': 90, 'org-2': 1 }), changeOf('verify', 'org-1')];
    expect(written(changes)).toMatchObject({
      counts: { claim: 91, verify: 1 },
      unitCounts: { claim: 2, verify: 1 },
    });
    const none = { counts: {}, unitCounts: {} };
    expect(written([])).toEqual({ ...none, apart: none, operations: new Map(), lanes: [] });
  });

  test('has those of some units apart, and among all', () => {
    const tally = new PlanTally(4, new Set(['org-2', 'org-3']));
    const changes = [...claimsOf({ 'org-1': 90, 'org-2': 2, 'org-3': 1 }), changeOf('verify', 'org-1')];
    for (const change of changes) tally.take(change);
    expect(tally.written()).toMatchObject({
      ...{ counts: { claim: 93, verify: 1 }, unitCounts: { claim: 3, verify: 1 } },
      apart: { counts: { claim: 3 }, unitCounts: { claim: 2 } },
    });
  });

  test('has of units as many as have a change, however many changes each has and in whatever order', () => {
    const kinds = fc.constantFrom('claim', 'verify', 'lapse');
    const units = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'toString', '__proto__');
    fc.assert(
      fc.property(fc.array(fc.tuple(kinds, units), { maxLength: 60 }), (pairs) => {
        const changes = pairs.map(([kind, unit]) => changeOf(kind, unit));
        const { counts, unitCounts } = written(changes);
        expect(Object.keys(unitCounts)).toEqual(Object.keys(counts));
        for (const [kind, count] of Object.entries(counts)) {
          const own = pairs.filter((pair) => pair[0] === kind).map(([, unit]) => unit);
          expect([count, unitCounts[kind]]).toEqual([own.length, new Set(own).size]);
        }
        const twice = written([...changes.toReversed(), ...changes]);
        expect({ ...twice.unitCounts }).toEqual({ ...unitCounts });
      }),
      { seed: 20261123, numRuns: 100 },
    );
  });

  test('knows the last place of each lane, and what each operation requires', () => {
    const tally = new PlanTally(2);
    const places = [
      tally.take(changeOf('claim', 'org-1', ['domain'])),
      tally.take(changeOf('claim', 'org-1', ['request'])),
    ];
    const { lanes, operations } = tally.written();
    const [first] = places;
    expect(places.map(({ seq }) => seq)).toEqual([1, 2]);
    expect(lanes).toEqual([{ lane: first?.lane, lastSeq: 2 }]);
    expect(operations).toEqual(new Map([['account:update', new Set(['domain', 'request'])]]));
  });
});
