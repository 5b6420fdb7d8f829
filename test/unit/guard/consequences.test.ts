import { describe, expect, test } from '@jest/globals';
import { consequenceOf, gravest, type Consequence } from '../../../src/containment/consequences.js';
import type { Verdict } from '../../../src/containment/verdict.js';

describe('what follows from a verdict', () => {
  //                              plan             apply            bake
  test.each<[Verdict, Consequence, Consequence, Consequence]>([
    ['pass', 'go-on', 'go-on', 'evidence'],
    ['fail', 'trip', 'trip', 'trip'],
    ['too-few', 'leave-to-caps', 'leave-to-caps', 'keep-baking'],
    ['no-data', 'hold', 'hold', 'hold'],
    ['unreachable', 'hold', 'hold', 'hold-and-alert'],
  ])('%s: plan %s, apply %s, bake %s', (verdict, plan, apply, bake) => {
    expect(consequenceOf('plan', { verdict })).toBe(plan);
    expect(consequenceOf('apply', { verdict })).toBe(apply);
    expect(consequenceOf('bake', { verdict })).toBe(bake);
  });

  test('a failure that harms nobody holds, whatever the stage', () => {
    for (const stage of ['plan', 'apply', 'bake'] as const) {
      expect(consequenceOf(stage, { verdict: 'fail', worth: 'hold' })).toBe('hold');
    }
  });
});

describe('of several verdicts', () => {
  test('the gravest counts, with every rule that calls for it', () => {
    const verdicts = [
      { rule: 'a', verdict: 'unreachable' },
      { rule: 'b', verdict: 'fail' },
      { rule: 'c', verdict: 'pass' },
      { rule: 'd', verdict: 'fail', worth: 'hold' },
      { rule: 'e', verdict: 'fail' },
    ] as const;
    expect(gravest('plan', verdicts)).toEqual({ consequence: 'trip', because: [verdicts[1], verdicts[4]] });
    expect(gravest('plan', [verdicts[2], verdicts[0], verdicts[3]])).toEqual({
      consequence: 'hold',
      because: [verdicts[0], verdicts[3]],
    });
    expect(gravest('bake', [])).toBeUndefined();
  });
});
