import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { startOutcome, stepOutcome } from '../../../src/guard/outcome.js';
import { outcomePower, type OutcomeStep, type PoweredRule } from '../../../src/guard/outcome-power.js';
import { seededRandom } from '../../../src/demo/random.js';

const rule: PoweredRule = { name: 'logins', alpha: 0.01, tolerance: 1, regions: 1 };
const rules = fc.record({
  name: fc.constant('logins'),
  alpha: fc.double({ min: 1e-4, max: 0.1, noNaN: true }),
  tolerance: fc.double({ min: 1, max: 1.5, noNaN: true }),
  regions: fc.integer({ min: 1, max: 10 }),
});
const steps = fc.record({
  candidates: fc.integer({ min: 0, max: 3_000 }),
  others: fc.integer({ min: 0, max: 3_000 }),
});
/** What is not found is found after all events that there are, and later. */
const after = (of: PoweredRule, step: OutcomeStep, factor: number): number =>
  outcomePower(of, step, factor).events ?? Infinity;

describe('what an outcome rule can find', () => {
  test('is nothing where one version has no unit, or too few for any evidence', () => {
    expect(outcomePower(rule, { candidates: 100, others: 0 }).finds).toBe('nothing');
    expect(outcomePower(rule, { candidates: 0, others: 100 }).finds).toBe('nothing');
    // One organisation of fifty, in six regions: ln 25 and less is not ln 600.
    expect(outcomePower({ ...rule, regions: 6 }, { candidates: 1, others: 49 })).toEqual({
      ...{ rule: 'logins', factor: 2, finds: 'nothing', events: null, days: null },
    });
    expect(outcomePower(rule, { candidates: 5, others: 45 }).finds).toBe('missed');
    expect(outcomePower(rule, { candidates: 1_000, others: 9_000 }).finds).toBe('found');
    // No worse than is tolerated.
    expect(outcomePower({ ...rule, tolerance: 2 }, { candidates: 1_000, others: 9_000 }).finds).toBe(
      'missed',
    );
  });

  test('is found sooner the worse it is, the larger alpha, the fewer the regions', () => {
    fc.assert(
      fc.property(rules, steps, fc.double({ min: 1.5, max: 20, noNaN: true }), (of, step, factor) => {
        const now = after(of, step, factor);
        expect(after(of, step, factor * 1.5)).toBeLessThanOrEqual(now);
        expect(after({ ...of, alpha: of.alpha * 2 }, step, factor)).toBeLessThanOrEqual(now);
        expect(after({ ...of, regions: of.regions + 1 }, step, factor)).toBeGreaterThanOrEqual(now);
        expect(after({ ...of, tolerance: of.tolerance * 1.1 }, step, factor)).toBeGreaterThanOrEqual(now);
        if (now < Infinity) expect(now).toBeLessThanOrEqual(step.candidates + step.others);
      }),
      { seed: 15, numRuns: 60 },
    );
  });

  test('takes days in proportion to how seldom outcomes are, and none are told where that is not known', () => {
    const step = { candidates: 1_000, others: 9_000 };
    const often = outcomePower(rule, { ...step, perUnitDay: 0.01 });
    const seldom = outcomePower(rule, { ...step, perUnitDay: 0.001 });
    expect((seldom.days ?? NaN) / (often.days ?? NaN)).toBeCloseTo(10, 9);
    // An event a unit and day of 0.01: 10,000 units and a tenth at twice the rate make 110 a day at first.
    expect(often.days).toBeGreaterThan((often.events ?? NaN) / 110);
    expect(often.days).toBeLessThan((1.2 * (often.events ?? NaN)) / 110);
    expect(outcomePower(rule, step).days).toBeNull();
    expect(outcomePower(rule, { ...step, perUnitDay: 0 }).days).toBeNull();
  });

  test('a step of which it says nothing never fails, whoever of the candidate’s fails, and in whatever order', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 60 }),
        fc.infiniteStream(fc.boolean()),
        (candidates, others, theirs) => {
          if (outcomePower(rule, { candidates, others }).finds !== 'nothing') return;
          let state = startOutcome({ rule: 'logins', alpha: 0.01 });
          let [n, m] = [candidates, others];
          while (n > 0 && m > 0) {
            const hit = theirs.next().value === true;
            const look = { newEvents: 1, candidateEvents: hit ? 1 : 0, theta: n / (n + m) };
            ({ state } = stepOutcome(state, [look]));
            expect(state.failed).toBeNull();
            if (hit) n -= 1;
            else m -= 1;
          }
        },
      ),
      { seed: 15, numRuns: 100 },
    );
  });

  test.each([
    // share, factor
    [0.1, 2],
    [0.1, 5],
    [0.5, 2],
    [0.02, 5],
  ])('at a share of %d and %d times is what the rule itself takes, within a fifth', (share, factor) => {
    const step = { candidates: 20_000 * share, others: 20_000 * (1 - share) };
    const told = outcomePower(rule, step, factor).events ?? NaN;
    const draws = seededRandom('outcomes');
    let sum = 0;
    const RUNS = 200;
    for (let run = 0; run < RUNS; run += 1) {
      let state = startOutcome({ rule: 'logins', alpha: 0.01 });
      let [n, m] = [step.candidates, step.others];
      while (state.failed === null && n > 0 && m > 0) {
        const hit = draws.unit() < (factor * n) / (factor * n + m);
        const look = { newEvents: 1, candidateEvents: hit ? 1 : 0, theta: n / (n + m) };
        ({ state } = stepOutcome(state, [look]));
        if (hit) n -= 1;
        else m -= 1;
        sum += 1;
      }
    }
    const measured = sum / RUNS;
    expect(told / measured).toBeGreaterThan(0.8);
    expect(told / measured).toBeLessThan(1.2);
  });
});
