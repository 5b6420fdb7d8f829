import { describe, expect, test } from '@jest/globals';
import type { GuardPolicy } from '../../../src/flags/guard-policy.js';
import { nextJudgedBy } from '../../../src/guard/judged-by.js';
import { policyDifference, suggestRules } from '../../../src/guard/suggest.js';
import { seededRandom } from '../../../src/demo/random.js';
import { negativeBinomial } from './draws.js';

const DAY_MS = 86_400_000;
const START = Date.UTC(2026, 0, 5);
const random = seededRandom('suggest');
const runs = Array.from({ length: 60 }, (_, day) => ({
  at: START + day * DAY_MS,
  count: negativeBinomial(random, 100, 20),
  units: 50,
}));
const most = Math.max(...runs.map(({ count }) => count));
const guard: GuardPolicy = {
  onTrip: { restore: 'propose' },
  prometheus: [],
  caps: [{ kind: 'claim', perRun: 5_000, perUnit: 20 }],
  rules: [],
};
const history = { region: 'eu-west-1', change: 'claim', of: 'changes', runs } as const;

describe('what history suggests', () => {
  const suggestions = suggestRules([history], guard);

  test('is a cap of three times the most that a run planned, which keeps the other limits', () => {
    const cap = suggestions.find(({ kind }) => kind === 'cap');
    expect(cap?.proposed).toMatchObject({ kind: 'claim', perUnit: 20 });
    const { perRun = 0 } = cap?.proposed as { perRun?: number };
    expect(perRun).toBeGreaterThanOrEqual(3 * most);
    expect(perRun).toBeLessThan(3.5 * most);
    expect(cap && policyDifference(cap)).toEqual([
      '- - { kind: claim, perRun: 5000, perUnit: 20 }',
      `+ - { kind: claim, perRun: ${perRun}, perUnit: 20 }`,
    ]);
  });

  test('is a count rule, with what it would have said', () => {
    const count = suggestions.find(({ kind }) => kind === 'count');
    expect(count?.proposed).toMatchObject({ name: 'claim-per-run', alpha: 0.00025, floor: 5 });
    expect(count?.said).toEqual([{ region: 'eu-west-1', runs: 60, judged: 57, trips: 0, holds: 0 }]);
  });

  test('is nothing where the policy has it, and where no run planned anything', () => {
    const [cap] = suggestions;
    const has: GuardPolicy = { ...guard, caps: cap?.kind === 'cap' ? [cap.proposed] : [] };
    expect(
      suggestRules([history], has)
        .filter(({ kind }) => kind === 'cap')
        .flatMap(policyDifference),
    ).toEqual([]);
    expect(suggestRules([{ ...history, runs: runs.map((run) => ({ ...run, count: 0 })) }], guard)).toEqual(
      [],
    );
  });
});

test('the next run is judged by a wider band once a person has accepted one that was too many', () => {
  const options = { rule: 'claims', alpha: 1e-3, floor: 1 };
  const due = START + 60 * DAY_MS;
  const before = nextJudgedBy(runs, { due, units: 50 }, options);
  const accepted = { at: due, count: 600, units: 50, accepted: true };
  const after = nextJudgedBy([...runs, accepted], { due, units: 50 }, options);
  expect(before).toMatchObject({ rule: 'claims', comparable: 'runs', samples: 60 });
  expect(after?.samples).toBe(61);
  expect(after?.tripsFrom ?? 0).toBeGreaterThan(before?.tripsFrom ?? Infinity);
  expect(nextJudgedBy([], { due, units: 50 }, options)).toBeUndefined();
});
