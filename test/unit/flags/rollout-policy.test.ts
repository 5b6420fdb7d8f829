import { describe, expect, test } from '@jest/globals';
import { PortcullisError } from '../../../src/kernel/errors.js';
import { parsePolicy, policyOfDocument, parsePolicyFile } from '../../../src/flags/policy.js';
import type { PolicyFault } from '../../../src/flags/policy-faults.js';

const HEAD = `job: domain-claim
schedule: '*/15 * * * *'
regions: [eu, us, ap]
rollout:
`;
const SOUND = `${HEAD}  waves:
    - { name: canary, regions: [eu], steps: [0.1%, 2.5%, 100%], bake: { runs: 3, changes: 50, time: 60m } }
    - { name: rest, regions: [us, ap], steps: [100%], bake: { runs: 1, changes: 0, time: 0s }, approvals: 1 }
  windows:
    - only: Mon–Thu 09:00–16:00 Europe/Berlin
  freezes:
    - { from: 2026-12-18, until: 2027-01-04T08:00:00+01:00, reason: end of the year }
`;

function faultsOf(text: string): [line: number, path: string, message: string][] {
  try {
    parsePolicy(text, 'x.yaml');
  } catch (error) {
    if (!(error instanceof PortcullisError)) throw error;
    return (error.details['faults'] as PolicyFault[]).map(({ line, path, message }) => [line, path, message]);
  }
  return [];
}

describe("a policy's rollout", () => {
  test('is read with shares in thousandths, times in milliseconds and moments in UTC', () => {
    expect(parsePolicy(SOUND, 'x.yaml').rollout).toEqual({
      waves: [
        {
          name: 'canary',
          regions: ['eu'],
          stepsPermille: [1, 25, 1000],
          bake: { runs: 3, changes: 50, timeMs: 3_600_000 },
          approvals: 0,
        },
        {
          name: 'rest',
          regions: ['us', 'ap'],
          stepsPermille: [1000],
          bake: { runs: 1, changes: 0, timeMs: 0 },
          approvals: 1,
        },
      ],
      windows: [
        {
          text: 'Mon–Thu 09:00–16:00 Europe/Berlin',
          days: [1, 2, 3, 4],
          fromMinute: 540,
          untilMinute: 960,
          zone: 'Europe/Berlin',
        },
      ],
      freezes: [
        {
          from: new Date('2026-12-18T00:00:00Z'),
          until: new Date('2027-01-04T07:00:00Z'),
          reason: 'end of the year',
        },
      ],
    });
  });

  test('comes back the same from the document as it is stored', () => {
    const { document, policy } = parsePolicyFile(SOUND, 'x.yaml');
    expect(policyOfDocument(JSON.parse(JSON.stringify(document)))).toEqual({ policy });
  });

  test('may be left out', () => {
    expect(parsePolicy(HEAD.replace('rollout:\n', ''), 'x.yaml').rollout).toBeUndefined();
  });

  test('tells every fault at once, each with its line', () => {
    const text = `${HEAD}  waves:
    - name: canary
      regions: [eu, mars]
      steps: [10%, 5%, 100%]
      bake: { runs: 0, changes: 50, time: 60m }
    - name: canary
      regions: [us, eu]
      steps: [0%, 50%]
      bake: { runs: 1, change: 1, time: 31d }
      approvals: 2
  windows:
    - only: Mon-Thu 16:00-09:00 Europe/Berlin
    - only: Mon-Thu 09:00-16:00 Europe/Berln
  freezes:
    - { from: 2027-01-04, until: 2026-12-18, reason: '' }
    - { from: tomorrow, until: 2026-12-18, reason: x }
`;
    expect(faultsOf(text)).toEqual([
      [5, 'rollout.waves', 'has two waves of one name'],
      [5, 'rollout.waves', 'leaves out ap'],
      [7, 'rollout.waves[0].regions[1]', 'names mars, which is not in regions'],
      [8, 'rollout.waves[0].steps', 'must grow from step to step, from 0.1% on'],
      [9, 'rollout.waves[0].bake.runs', 'must be at least 1'],
      [11, 'rollout.waves[1].regions[1]', 'names eu, which wave canary has'],
      [12, 'rollout.waves[1].steps', 'must grow from step to step, from 0.1% on'],
      [
        12,
        'rollout.waves[1].steps',
        'must end with 100%: a version that stays at a part has not been rolled out',
      ],
      [13, 'rollout.waves[1].bake.changes', 'is missing'],
      [13, 'rollout.waves[1].bake.time', 'must be from 0 ms to 30 d'],
      [13, 'rollout.waves[1].bake.change', 'is not a known key; did you mean changes?'],
      [14, 'rollout.waves[1].approvals', 'must be at most 1'],
      [16, 'rollout.windows[0].only', 'must end after it begins, on the same day'],
      [
        17,
        'rollout.windows[1].only',
        'has an invalid time zone: Europe/Berln; use a name such as Europe/Berlin',
      ],
      [19, 'rollout.freezes[0].reason', 'must be at least 1'],
      [19, 'rollout.freezes[0]', 'must end after it begins'],
      [20, 'rollout.freezes[1].from', 'is not a moment such as 2026-12-18T16:00:00+01:00 or 2026-12-18'],
    ]);
  });

  test.each([
    ['no waves', `${HEAD}  waves: []\n`],
    ['a wave that is none', `${HEAD}  waves: [canary]\n`],
    ['a number', `${HEAD.trimEnd()} 5\n`],
    ['nothing', HEAD],
  ])('is refused, and nothing crashes, where it is %s', (_, text) => {
    expect(faultsOf(text).length).toBeGreaterThan(0);
  });
});
