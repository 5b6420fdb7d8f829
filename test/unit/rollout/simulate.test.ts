import { describe, expect, test } from '@jest/globals';
import { FakeTerminal } from '../cli/fake-terminal.js';
import { type Policy, parsePolicy } from '../../../src/flags/policy.js';
import { Voice } from '../../../src/cli/context.js';
import { simulationText } from '../../../src/cli/simulation-text.js';
import { simulateRollout } from '../../../src/rollout/simulate.js';

const MINUTE_MS = 60_000;
const policy = parsePolicy(
  `job: claims
schedule: '*/15 * * * *'
regions: [eu, us]
apply: { firstBatches: [10, 20] }
guard:
  caps: [{ kind: claim, perRun: 400, perUnit: 30, shareOfRegion: 10% }]
  rules: [{ kind: rate, name: conflicts, of: conflicts, acceptable: 1% }]
rollout:
  waves:
    - { name: canary, regions: [eu], steps: [10%, 100%], bake: { runs: 2, changes: 50, time: 60m } }
    - { name: rest, regions: [us], steps: [100%], bake: { runs: 1, changes: 0, time: 0s }, approvals: 1 }
  windows: [{ only: 'Mon 10:00-12:00 UTC' }]
`,
  'x.yaml',
);
const planned = (): Policy & { rollout: NonNullable<Policy['rollout']> } => {
  const { rollout } = policy;
  if (!rollout) throw new Error('no waves');
  return { ...policy, rollout };
};
const simulate = (changesPerRun: number | undefined, periodMs = 15 * MINUTE_MS) =>
  simulateRollout(
    planned(),
    () => ({
      units: 95,
      rowsByKind: { claim: 3000 },
      rowsByResource: { account: 3001 },
      changesPerRun,
    }),
    periodMs,
    new Date('2026-11-23T09:00:00Z'),
  );

test('each step says what its outcome rules can find, and warns where that is nothing', () => {
  const text = `job: claims
schedule: '*/15 * * * *'
regions: [eu]
guard: { rules: [{ kind: outcome, name: logins, event: login-failed, alpha: 0.01 }] }
rollout:
  waves: [{ name: all, regions: [eu], steps: [0.1%, 10%, 100%], bake: { runs: 1, changes: 0, time: 0s } }]
`;
  const { rollout, ...rest } = parsePolicy(text, 'x.yaml');
  if (!rollout) throw new Error('no waves');
  const figures = (units: number, badPerUnitDay?: Record<string, number>) => ({
    ...{ units, rowsByKind: {}, rowsByResource: {}, changesPerRun: 1 },
    ...(badPerUnitDay && { badPerUnitDay }),
  });
  const simulated = (of: ReturnType<typeof figures>) =>
    simulateRollout({ ...rest, rollout }, () => of, 15 * MINUTE_MS, new Date('2026-11-23T09:00:00Z'));
  const large = simulated(figures(20_000, { 'login-failed': 0.001 }));
  expect(large.steps.map(({ outcomes }) => outcomes[0]?.finds)).toEqual(['missed', 'found', 'nothing']);
  const found = large.steps[1]?.outcomes[0];
  expect(found).toMatchObject({ rule: 'logins', factor: 2 });
  // Twenty-two a day, a little fewer as units are struck.
  expect((found?.events ?? NaN) / (found?.days ?? NaN)).toBeCloseTo(21.8, 0);
  const shown = simulationText(new Voice(new FakeTerminal({ columns: 200 }), false), large);
  expect(shown).toMatch(/10% +logins +2 × is found after about \d+ events: \d+ days at the present rate/);
  expect(shown).toMatch(/100% +logins +misses faults of any size: too few units of one version to compare/);
  expect(shown).toMatch(/0\.1% +logins +2 × is missed: too few units/);

  const small = simulated(figures(50));
  expect(small.steps.map(({ outcomes }) => outcomes[0]?.finds)).toEqual(['nothing', 'missed', 'nothing']);
  const unknown = simulated(figures(20_000));
  expect(simulationText(new Voice(new FakeTerminal({ columns: 200 }), false), unknown)).toContain(
    'events: no outcome reported yet',
  );
});

describe('a rollout on paper', () => {
  test('says when each step starts and ends, whom it exposes, and what passes the caps', () => {
    const { steps, ends, approvals } = simulate(100);
    expect(steps).toEqual([
      {
        ...{
          wave: 'canary',
          region: 'eu',
          permille: 100,
          units: 10,
          rows: { account: 301 },
          runs: 5,
          mostPerRun: { claim: 300 },
          outcomes: [],
        },
        // It waits for the window, and then for five runs: a tenth of a hundred changes each, of fifty.
        ...{ starts: new Date('2026-11-23T10:00:00Z'), ends: new Date('2026-11-23T11:15:00Z') },
      },
      {
        ...{
          wave: 'canary',
          region: 'eu',
          permille: 1000,
          units: 95,
          rows: { account: 3001 },
          runs: 2,
          mostPerRun: { claim: 300 },
          outcomes: [],
        },
        ...{ starts: new Date('2026-11-23T11:15:00Z'), ends: new Date('2026-11-23T12:15:00Z') },
      },
      {
        ...{
          wave: 'rest',
          region: 'us',
          permille: 1000,
          units: 95,
          rows: { account: 3001 },
          runs: 1,
          mostPerRun: { claim: 300 },
          outcomes: [],
        },
        ...{ starts: new Date('2026-11-30T10:00:00Z'), ends: new Date('2026-11-30T10:15:00Z') },
      },
    ]);
    expect(ends).toEqual(new Date('2026-11-30T10:15:00Z'));
    expect(approvals).toEqual(['rest']);
  });

  test('never ends where too little is changed to fill a bake', () => {
    const { steps, ends } = simulate(undefined);
    // The steps after it are there all the same: whoever starts it sees what it would do.
    expect(steps.map(({ region, starts, ends }) => [region, starts === null, ends])).toEqual([
      ['eu', false, null],
      ['eu', true, null],
      ['us', true, null],
    ]);
    expect(steps[0]).toMatchObject({ runs: null });
    expect(ends).toBeNull();
  });

  test('never ends where the schedule is due no more', () => {
    const { steps, ends } = simulate(100, Number.POSITIVE_INFINITY);
    expect({ ends, first: steps[0]?.ends }).toEqual({ ends: null, first: null });
  });

  test('tells of every rule how much a version at fault could change first', () => {
    expect(simulate(100).rules).toMatchObject([
      { rule: 'cap on claim', kind: 'cap', most: 0 },
      { rule: 'conflicts', kind: 'rate', most: 10 },
    ]);
  });
});
