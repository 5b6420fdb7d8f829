import { formatDurationMs } from '../kernel/duration.js';
import { PortcullisError } from '../kernel/errors.js';
import type { GuardPolicy } from '../flags/guard-policy.js';

export type Phase =
  'elect' | 'decide' | 'plan' | 'judge' | 'apply' | 'finish' | 'plan the restore' | 'apply the restore';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** How long each phase of a run may take, in milliseconds, however much progress it makes. */
export const PHASE_LIMITS: Readonly<Record<Phase, number>> = {
  elect: MINUTE_MS,
  decide: 10 * MINUTE_MS,
  plan: 6 * HOUR_MS,
  // To which the time is added that the policy gives its invariants.
  judge: 10 * MINUTE_MS,
  apply: 12 * HOUR_MS,
  finish: 10 * MINUTE_MS,
  'plan the restore': 2 * HOUR_MS,
  'apply the restore': 12 * HOUR_MS,
};

/** How long a plan may be judged under a policy. In milliseconds. */
export function judgeLimitMs({ rules }: GuardPolicy): number {
  return rules.reduce(
    (sum, rule) => sum + (rule.kind === 'invariant' ? rule.timeoutMs : 0),
    PHASE_LIMITS.judge,
  );
}

/** How long a run may show no progress before it counts as hanging, in milliseconds. */
export const PROGRESS_MS = 60_000;

export function tooLong(phase: Phase, limitMs: number): PortcullisError {
  return new PortcullisError('TIME_LIMIT', tooLongText(phase, limitMs), {
    hint: 'see what it waited for: docs/runbooks/stuck-run.md',
    details: { phase, limitMs },
  });
}

export function tooLongText(phase: Phase, limitMs: number): string {
  return `phase "${phase}" took longer than its limit of ${formatDurationMs(limitMs)}`;
}
