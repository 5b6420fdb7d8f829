import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  judgeRegions,
  lnEvidence,
  type OutcomeLook,
  type OutcomeState,
  startOutcome,
  stepOutcome,
} from '../../../src/guard/outcome.js';
import type { Judged } from '../../../src/containment/verdict.js';

const OPTIONS = { rule: 'logins', alpha: 0.01 };

function judgedAfter(
  looks: readonly (readonly OutcomeLook[])[],
  start: OutcomeState = startOutcome(OPTIONS),
): { state: OutcomeState; judged: Judged[] } {
  let state = start;
  const judged = looks.map((look) => {
    const step = stepOutcome(state, look);
    state = step.state;
    return step.judged;
  });
  return { state, judged };
}

const one = (candidate: boolean, theta = 0.1): OutcomeLook[] => [
  { newEvents: 1, candidateEvents: candidate ? 1 : 0, theta },
];
const times = (count: number, look: readonly OutcomeLook[]): (readonly OutcomeLook[])[] =>
  Array.from({ length: count }, () => look);

const anyLook = fc
  .tuple(fc.nat(20), fc.nat(20), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([k, x, theta]): OutcomeLook => ({ newEvents: k, candidateEvents: Math.min(k, x), theta }));
const anyLooks = fc.array(fc.array(anyLook, { maxLength: 4 }), { maxLength: 40 });

describe('an outcome', () => {
  test('that the candidate has as often as its share passes', () => {
    const round = [...times(9, one(false)), one(true)];
    const { judged } = judgedAfter(Array.from({ length: 50 }, () => round).flat());
    expect(judged.every(({ verdict }) => verdict === 'pass')).toBe(true);
  });

  test('that only the candidate has fails after three organisations', () => {
    const { judged } = judgedAfter(times(5, one(true)));
    expect(judged.map(({ verdict }) => verdict)).toEqual(['pass', 'pass', 'fail', 'fail', 'fail']);
    expect(judged.at(2)?.reason).toMatch(
      /^logins: 3 of 3 units with a bad outcome had the candidate where 0.3 were expected; chance 0.00\d+ at most, limit 0.01$/,
    );
  });

  test('that nobody has is a pass, where there is something to compare', () => {
    const { judged } = judgedAfter([[{ newEvents: 0, candidateEvents: 0, theta: 0.1 }]]);
    expect(judged[0]).toMatchObject({ verdict: 'pass', figures: { observed: 0, samples: 0, lnE: 0 } });
  });

  test.each([0, 1])('with a share of %p compares nothing', (theta) => {
    const { judged, state } = judgedAfter(times(50, one(theta === 1, theta)));
    expect(judged.at(-1)?.verdict).toBe('too-few');
    expect(judged.at(-1)?.reason).toContain('other rules still apply');
    expect(state.events).toBe(0);
  });

  test('agrees with the formula', () => {
    const { state } = judgedAfter([
      [
        { newEvents: 5, candidateEvents: 2, theta: 0.1 },
        { newEvents: 3, candidateEvents: 1, theta: 0.3 },
      ],
    ]);
    const e = [1.5, 2.5, 6, 25].map(
      (ratio) => (ratio ** 2 / (1 + 0.1 * (ratio - 1)) ** 5) * (ratio / (1 + 0.3 * (ratio - 1)) ** 3),
    );
    expect(lnEvidence(state)).toBeCloseTo(Math.log(e.reduce((sum, each) => sum + each, 0) / 4), 12);
  });

  test('that is as much worse as is tolerated says nothing against the candidate', () => {
    const tolerant = startOutcome({ ...OPTIONS, tolerance: 1.5 });
    // At 1.5 times the rate a tenth of the organisations has 1 in 7 of the events.
    const looks = Array.from({ length: 300 }, () => [...times(6, one(false)), one(true)]).flat();
    expect(judgedAfter(looks).judged.at(-1)?.verdict).toBe('fail');
    expect(judgedAfter(looks, tolerant).judged.at(-1)?.verdict).toBe('pass');
  });

  test('in strata is the sum over the strata, in whatever looks they come', () => {
    fc.assert(
      fc.property(fc.array(anyLook, { maxLength: 20 }), (looks) => {
        const never = startOutcome({ ...OPTIONS, alpha: 1e-300 });
        const together = judgedAfter([looks], never).state;
        expect(
          judgedAfter(
            looks.map((look) => [look]),
            never,
          ).state,
        ).toStrictEqual(together);
      }),
      { seed: 20261123 },
    );
  });

  test('replays to the same figures, bit by bit, from its JSON at any cut', () => {
    fc.assert(
      fc.property(anyLooks, fc.nat(40), (looks, cut) => {
        const whole = judgedAfter(looks);
        const before = judgedAfter(looks.slice(0, cut));
        const revived = JSON.parse(JSON.stringify(before.state)) as OutcomeState;
        const after = judgedAfter(looks.slice(cut), revived);
        expect([...before.judged, ...after.judged]).toStrictEqual(whole.judged);
        expect(JSON.stringify(after.state)).toBe(JSON.stringify(whole.state));
      }),
      { seed: 20261123 },
    );
  });

  test('is no better for one more organisation of the candidate among as many', () => {
    fc.assert(
      fc.property(anyLooks, fc.nat(39), (looks, at) => {
        const worse = looks.map((strata, index) =>
          strata.map((look) =>
            index === at
              ? { ...look, candidateEvents: Math.min(look.newEvents, look.candidateEvents + 1) }
              : look,
          ),
        );
        const better = lnEvidence(judgedAfter(looks).state);
        expect(lnEvidence(judgedAfter(worse).state)).toBeGreaterThanOrEqual(better - 1e-9);
      }),
      { seed: 20261123 },
    );
  });

  test('that has failed stays failed, with its first reason', () => {
    const { judged } = judgedAfter([...times(3, one(true)), ...times(500, one(false))]);
    expect(judged.at(-1)).toEqual(judged[2]);
    expect(judged.at(-1)?.verdict).toBe('fail');
  });

  test('cannot be worse than fair on average, by the sum over all that may come', () => {
    // Six organisations, two of them the candidate's, fail in any order: E is drawn exactly, all 720 ways alike.
    const orders = (rest: readonly boolean[]): boolean[][] =>
      rest.length === 0
        ? [[]]
        : rest.flatMap((head, at) =>
            orders(rest.filter((_, index) => index !== at)).map((tail) => [head, ...tail]),
          );
    const evidence = orders([true, true, false, false, false, false]).map((order) => {
      let candidates = 2;
      const looks = order.map((candidate, index) => {
        const look = one(candidate, candidates / (6 - index));
        if (candidate) candidates -= 1;
        return look;
      });
      return Math.exp(lnEvidence(judgedAfter(looks).state));
    });
    expect(evidence).toHaveLength(720);
    expect(evidence.reduce((sum, each) => sum + each, 0) / 720).toBeCloseTo(1, 10);
  });

  test('is not asked for with what cannot be', () => {
    expect(() => startOutcome({ ...OPTIONS, alpha: 1 })).toThrow(RangeError);
    expect(() => startOutcome({ ...OPTIONS, tolerance: 0.9 })).toThrow(RangeError);
    expect(() => startOutcome({ ...OPTIONS, regions: 0 })).toThrow(RangeError);
    for (const look of [
      { newEvents: 1, candidateEvents: 2, theta: 0.1 },
      { newEvents: 1, candidateEvents: 0, theta: 1.1 },
      { newEvents: 1, candidateEvents: 0, theta: Number.NaN },
    ]) {
      expect(() => stepOutcome(startOutcome(OPTIONS), [look])).toThrow(RangeError);
    }
  });
});

describe('outcomes of several regions', () => {
  const region = (bad: number): OutcomeState =>
    judgedAfter(times(bad, one(true)), startOutcome({ ...OPTIONS, regions: 3 })).state;

  test('trip one region by more evidence than a region alone needs', () => {
    const alone = judgedAfter(times(3, one(true)));
    const ofTen = judgedAfter(times(3, one(true)), startOutcome({ ...OPTIONS, regions: 10 }));
    expect([alone.judged[2]?.verdict, ofTen.judged[2]?.verdict]).toEqual(['fail', 'pass']);
    expect(ofTen.judged[2]?.figures['limit']).toBeCloseTo(Math.log(1_000), 12);
  });

  test('halt everything by what no region would say alone', () => {
    const states = [region(3), region(3), region(3)];
    expect(states.map(({ failed }) => failed)).toEqual([null, null, null]);
    expect(judgeRegions('logins', 0.01, states)).toMatchObject({ verdict: 'fail', rule: 'logins' });
    expect(judgeRegions('logins', 0.01, [region(3), region(0), region(0)]).verdict).toBe('pass');
  });

  test('of which none compares are too few', () => {
    expect(judgeRegions('logins', 0.01, [startOutcome(OPTIONS)]).verdict).toBe('too-few');
    expect(judgeRegions('logins', 0.01, []).verdict).toBe('too-few');
  });
});
