import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Cohorts } from '../../../src/guard/bake/cohorts.js';
import type { UnitChange } from '../../../src/guard/bake/unit-changes.js';

const at = (minutes: number): Date => new Date(Date.UTC(2026, 2, 1, 0, minutes));
const change = (unit: string, version: string | null, minutes: number): UnitChange => ({
  ...{ unit, version },
  appliedAt: at(minutes),
});

describe('cohorts', () => {
  test('a unit has the version that changed it last before the outcome', () => {
    const cohorts = new Cohorts('new', [
      change('o1', 'old', 10),
      change('o1', 'new', 20),
      change('o2', 'new', 30),
    ]);
    expect([5, 10, 19, 20].map((minutes) => cohorts.versionOf('o1', at(minutes)))).toEqual([
      null,
      'old',
      'old',
      'new',
    ]);
    expect(cohorts.begunAt).toEqual(at(20));
  });

  test('a restore leaves a unit without any', () => {
    const cohorts = new Cohorts('new', [change('o1', 'new', 10), change('o1', null, 20)]);
    expect(cohorts.versionOf('o1', at(15))).toBe('new');
    expect(cohorts.versionOf('o1', at(25))).toBeNull();
    expect(cohorts.take({ unit: 'o1', at: at(25) })).toBeUndefined();
  });

  test('a unit counts at its first outcome, and is at risk no more afterwards', () => {
    const changes = ['a', 'b'].map((unit) => change(unit, 'new', 0));
    const others = ['c', 'd', 'e', 'f', 'g', 'h'].map((unit) => change(unit, 'old', 0));
    const cohorts = new Cohorts('new', [...changes, ...others]);
    expect(cohorts.take({ unit: 'a', at: at(10) })).toEqual({
      newEvents: 1,
      candidateEvents: 1,
      theta: 2 / 8,
    });
    expect(cohorts.take({ unit: 'a', at: at(11) })).toBeUndefined();
    expect(cohorts.take({ unit: 'c', at: at(12) })).toEqual({
      newEvents: 1,
      candidateEvents: 0,
      theta: 1 / 7,
    });
    expect(cohorts.take({ unit: 'unchanged', at: at(12) })).toBeUndefined();
  });

  test('changes are compared with changes of their age alone', () => {
    const cohorts = new Cohorts('new', [
      ...[change('a', 'new', 60), change('b', 'old', 60)],
      ...['c', 'd', 'e'].map((unit) => change(unit, 'old', 0)),
    ]);
    expect(cohorts.take({ unit: 'a', at: at(65) })?.theta).toBe(1 / 2);
    // The others are behind their first hour, where the candidate has nobody.
    expect(cohorts.take({ unit: 'c', at: at(65) })?.theta).toBe(0);
  });

  test('taken up anywhere with those struck so far, they say the same as in one go', () => {
    const units = ['a', 'b', 'c', 'd', 'e', 'f'];
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ unit: fc.constantFrom(...units), at: fc.integer({ min: 1, max: 600 }).map(at) }),
          {
            maxLength: 20,
          },
        ),
        fc.nat(20),
        (outcomes, cut) => {
          const changes = units.map((unit, nth) => change(unit, nth % 3 === 0 ? 'new' : 'old', nth * 30));
          const whole = new Cohorts('new', changes);
          const expected = outcomes.map((outcome) => whole.take(outcome));
          const before = new Cohorts('new', changes);
          const first = outcomes.slice(0, cut).map((outcome) => before.take(outcome));
          const after = new Cohorts(
            'new',
            changes,
            outcomes.slice(0, cut).map(({ unit }) => unit),
          );
          expect([...first, ...outcomes.slice(cut).map((outcome) => after.take(outcome))]).toEqual(expected);
        },
      ),
    );
  });
});
