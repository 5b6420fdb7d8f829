import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EVERY_BUCKET, hasBucket, type Buckets } from '../../../src/kernel/bucketing.js';
import { newlyAdmittedAmong, usualWait, waitedFor, type Covering } from '../../../src/guard/coverage.js';

const SLOT_MS = 900_000;

/** A run in each of these slots, for these buckets. */
const inSlots = (slots: readonly number[], covered?: Buckets): Covering[] =>
  slots.map((slot) => ({ at: slot * SLOT_MS, covered }));

const upTo = (slots: number): number[] => Array.from({ length: slots }, (_, slot) => slot);

const at = (slot: number, covered: Buckets | undefined = EVERY_BUCKET): Covering => ({
  at: slot * SLOT_MS,
  covered,
});

describe('newcomers', () => {
  test('are those that fewer than three runs have served', () => {
    const canary = inSlots(upTo(8), [[0, 20]]);
    expect(newlyAdmittedAmong([], at(0, [[0, 20]]))).toEqual([[0, 20]]);
    expect(newlyAdmittedAmong(canary.slice(0, 2), at(2, [[0, 20]]))).toEqual([[0, 20]]);
    expect(newlyAdmittedAmong(canary.slice(0, 3), at(3, [[0, 20]]))).toEqual([]);
    expect(newlyAdmittedAmong(canary, at(8, [[0, 100]]))).toEqual([[20, 100]]);
    const raised = (runs: number): Covering[] => [
      ...canary,
      ...inSlots([8, 9, 10].slice(0, runs), [[0, 100]]),
    ];
    expect([1, 2, 3].map((runs) => newlyAdmittedAmong(raised(runs), at(8 + runs, [[0, 100]])))).toEqual([
      [[20, 100]],
      [[20, 100]],
      [],
    ]);
  });

  test('are none in a canary of those that the stable version served, whoever takes them over', () => {
    const stable = inSlots(upTo(8));
    expect(newlyAdmittedAmong(stable, at(8, [[0, 20]]))).toEqual([]);
    const both = [8, 9, 10, 11].flatMap((slot) => [at(slot, [[20, 1000]]), at(slot, [[0, 20]])]);
    expect(newlyAdmittedAmong([...stable, ...both], at(12, [[0, 100]]))).toEqual([]);
    expect(newlyAdmittedAmong([...stable, ...both], at(12, [[100, 1000]]))).toEqual([]);
  });

  test('are none after a pause of all, however long, nor where those that a version acts for have all waited', () => {
    for (const slot of [8, 100, 2_000]) expect(newlyAdmittedAmong(inSlots(upTo(8)), at(slot))).toEqual([]);
    const others = inSlots(
      upTo(60).map((slot) => slot + 8),
      [[20, 1000]],
    );
    expect(newlyAdmittedAmong([...inSlots(upTo(8)), ...others], at(68, [[0, 20]]))).toEqual([]);
  });

  test('are those that were on hold while the others were served more than three times as often', () => {
    const heldFor = (slots: number): Buckets =>
      newlyAdmittedAmong(
        [
          ...inSlots(upTo(8)),
          ...inSlots(
            upTo(slots).map((slot) => slot + 8),
            [[0, 500]],
          ),
        ],
        at(8 + slots),
      );
    expect([0, 1, 5, 9].map(heldFor)).toEqual([[], [], [], []]);
    expect([10, 90, 1_000].map(heldFor)).toEqual([[[500, 1000]], [[500, 1000]], [[500, 1000]]]);
  });

  test('are not made by runs in quick succession', () => {
    const again = [7.001, 7.002, 7.003].flatMap((slot) => at(slot, [[0, 20]]));
    expect(newlyAdmittedAmong([...inSlots(upTo(8)), ...again], at(7.004, [[0, 100]]))).toEqual([]);
  });

  test('are nobody where nobody can tell whom runs were for', () => {
    expect(newlyAdmittedAmong([], { at: 0 })).toEqual([]);
    expect(newlyAdmittedAmong(inSlots(upTo(3), [[0, 20]]), { at: 3 * SLOT_MS })).toEqual([]);
    const untold = upTo(3).map((slot) => ({ at: slot * SLOT_MS }));
    expect(newlyAdmittedAmong(untold, at(3))).toEqual([]);
  });

  test('are of the run’s own buckets, cut to the bucket, and fewer the more runs there were', () => {
    const span = fc
      .tuple(fc.nat(999), fc.integer({ min: 1, max: 500 }))
      .map(([after, width]): Buckets => [[after, Math.min(1000, after + width)]]);
    fc.assert(
      fc.property(fc.array(span, { maxLength: 30 }), span, span, (spans, own, more) => {
        const runs = spans.flatMap((covered, slot) => inSlots([slot], covered));
        const now = at(spans.length + 3, own);
        const newcomers = newlyAdmittedAmong(runs, now);
        const wrong = Array.from({ length: 1000 }, (_, index) => index + 1).filter((bucket) => {
          const times = runs.filter(({ covered = [] }) => hasBucket(covered, bucket)).length;
          const isNew = hasBucket(newcomers, bucket);
          return hasBucket(own, bucket) ? times < 3 && !isNew : isNew;
        });
        expect(wrong).toEqual([]);
        const served = [0, 1, 2].flatMap((last) => inSlots([spans.length + last], more));
        expect(newlyAdmittedAmong([...runs, ...served], at(spans.length + 3, more))).toEqual([]);
      }),
      { seed: 20261123, numRuns: 100 },
    );
  });
});

/** How many runs' work had gathered for each of the runs. */
const gatheredFor = (runs: readonly Covering[]): number[] =>
  runs.map((run, index) => waitedFor(runs, index, run, usualWait(runs.slice(0, -1))));

describe('the work that has gathered', () => {
  test('is told apart by who has waited', () => {
    // The stable version of nine in ten fails to come for five slots; the candidate does not.
    const runs = [
      ...inSlots(upTo(8)),
      ...inSlots([8, 9, 10, 11, 12], [[0, 100]]),
      at(13, [[100, 1000]]),
      at(13, [[0, 100]]),
      at(14, [[0, 550]]),
    ];
    expect(gatheredFor(runs).slice(-3)).toEqual([6, 1, 1]);
    expect(gatheredFor([...runs.slice(0, -3), at(13, [[0, 200]])]).at(-1)).toBeCloseTo((1 + 6) / 2, 6);
  });

  test('is one run’s where newcomers come in beside those who were served', () => {
    const runs: Covering[] = inSlots(upTo(8), [[0, 20]]);
    expect(gatheredFor([...runs, { ...at(8), newcomers: [[20, 1000]] }]).at(-1)).toBe(1);
    expect(gatheredFor([...runs, { ...at(9), newcomers: [[20, 1000]] }]).at(-1)).toBe(2);
  });
});
