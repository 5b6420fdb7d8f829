import type { RolloutPolicy } from '../../../src/flags/rollout-policy.js';
import type { Verdict } from '../../../src/containment/verdict.js';
import type { RegionEvidence, RuleVerdict } from '../../../src/rollout/evidence.js';
import {
  type AdvancePlan,
  type Part,
  type Standing,
  planAdvance,
} from '../../../src/rollout/plan-advance.js';

export const MINUTE_MS = 60_000;
export const START = new Date('2026-11-23T10:00:00Z');
export const after = (minutes: number): Date => new Date(START.getTime() + minutes * MINUTE_MS);

export const POLICY: RolloutPolicy = {
  waves: [
    {
      name: 'canary',
      regions: ['eu'],
      stepsPermille: [10, 1000],
      bake: { runs: 3, changes: 50, timeMs: 60 * MINUTE_MS },
      approvals: 0,
    },
    {
      name: 'rest',
      regions: ['us', 'ap'],
      stepsPermille: [100, 1000],
      bake: { runs: 2, changes: 20, timeMs: 30 * MINUTE_MS },
      approvals: 1,
    },
  ],
  windows: [],
  freezes: [],
};

export function standing(
  parts: Record<string, Partial<Part>> = {},
  changes: Partial<Standing> = {},
): Standing {
  const all = POLICY.waves.flatMap((wave) => wave.regions);
  return {
    version: '1.1.0_9f3c2a1b',
    paused: false,
    watchedSince: START,
    approved: new Set(),
    parts: all.map((region) => {
      const { step = -1, ...rest } = parts[region] ?? {};
      return { region, step, since: step < 0 ? null : START, done: false, skipped: [], ...rest };
    }),
    ...changes,
  };
}

export const rule = (verdict: Verdict, judgedAt = after(59)): RuleVerdict => ({
  rule: 'logins',
  verdict,
  reason: `logins: ${verdict}`,
  judgedAt,
});

export function evidence(of: Record<string, Partial<RegionEvidence>> = {}): RegionEvidence[] {
  return POLICY.waves.flatMap(({ regions }) =>
    regions.map((region) => ({
      region,
      flag: { as: 'set' as const },
      served: true,
      runs: 0,
      changes: 0,
      runsWatched: 0,
      verdicts: [],
      ...of[region],
    })),
  );
}

export const full: Partial<RegionEvidence> = {
  runs: 3,
  changes: 50,
  runsWatched: 3,
  verdicts: [rule('pass')],
};
export const baking = standing({ eu: { step: 0 } });
export const canaryDone = { eu: { step: 1, done: true } };

export const plan = (
  state: Standing,
  seen: RegionEvidence[],
  now = after(60),
  policy = POLICY,
): AdvancePlan => planAdvance(policy, state, seen, now);
