import { describe, expect, test } from '@jest/globals';
import { type Policy, parsePolicy } from '../../../src/flags/policy.js';
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
const simulate = (changesPerRun: number | undefined) =>
  simulateRollout(
    planned(),
    () => ({
      organisations: 95,
      rowsByKind: { claim: 3000 },
      rowsByResource: { account: 3001 },
      changesPerRun,
    }),
    15 * MINUTE_MS,
    new Date('2026-11-23T09:00:00Z'),
  );

describe('a rollout on paper', () => {
  test('says when each step starts and ends, whom it exposes, and what passes the caps', () => {
    const { steps, ends, approvals } = simulate(100);
    expect(steps).toEqual([
      {
        ...{
          wave: 'canary',
          region: 'eu',
          permille: 100,
          organisations: 10,
          rows: { account: 301 },
          runs: 5,
          mostPerRun: { claim: 300 },
        },
        // It waits for the window, and then for five runs: a tenth of a hundred changes each, of fifty.
        ...{ starts: new Date('2026-11-23T10:00:00Z'), ends: new Date('2026-11-23T11:15:00Z') },
      },
      {
        ...{
          wave: 'canary',
          region: 'eu',
          permille: 1000,
          organisations: 95,
          rows: { account: 3001 },
          runs: 2,
          mostPerRun: { claim: 300 },
        },
        ...{ starts: new Date('2026-11-23T11:15:00Z'), ends: new Date('2026-11-23T12:15:00Z') },
      },
      {
        ...{
          wave: 'rest',
          region: 'us',
          permille: 1000,
          organisations: 95,
          rows: { account: 3001 },
          runs: 1,
          mostPerRun: { claim: 300 },
        },
        ...{ starts: new Date('2026-11-30T10:00:00Z'), ends: new Date('2026-11-30T10:15:00Z') },
      },
    ]);
    expect(ends).toEqual(new Date('2026-11-30T10:15:00Z'));
    expect(approvals).toEqual(['rest']);
  });

  test('never ends where too little is changed to fill a bake', () => {
    const { steps, ends } = simulate(undefined);
    expect(steps).toHaveLength(1);
    expect(steps[0]).toMatchObject({ ends: null, runs: null });
    expect(ends).toBeNull();
  });

  test('tells of every rule how much a version at fault could change first', () => {
    expect(simulate(100).rules).toMatchObject([
      { rule: 'cap on claim', kind: 'cap', most: 0 },
      { rule: 'conflicts', kind: 'rate', most: 10 },
    ]);
  });
});
