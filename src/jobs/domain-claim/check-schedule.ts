import type { CheckedState } from './domain-states.js';
import type { Verdict } from './proof.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Without a proof in this time after its token was issued, a pending domain expires. */
export const TOKEN_LIFE_MS = 7 * DAY_MS;
/** A proof older than this carries no claim. */
export const EVIDENCE_LIFE_MS = 7 * DAY_MS;
/** How long a domain may be at risk before it lapses. */
export const GRACE_MS = 7 * DAY_MS;

const PENDING_FIRST_MS = 15 * MINUTE_MS;
const PENDING_LONGEST_MS = 12 * HOUR_MS;
const VERIFIED_EVERY_MS = DAY_MS;
/** An owner who puts the record back should not wait long; and a check that learnt nothing is repeated soon. */
const SOON_MS = HOUR_MS;

/** The time between two checks that agree on absence is at least, and however large a TTL is, at most: */
const ABSENCE_SHORTEST_MS = 15 * MINUTE_MS;
const ABSENCE_LONGEST_MS = DAY_MS;

export interface ScheduleFacts {
  /** The state that the domain will be in. */
  readonly state: CheckedState;
  /** Null where the check could not be made. */
  readonly verdict: Verdict | null;
  /** The checks before this one. */
  readonly checkCount: number;
  /** The end of a pending token's life, or NaN where none is known. */
  readonly deadlineMs: number;
  /** The earliest time for the check that confirms an absence, or NaN where none is awaited. */
  readonly absentAgainMs: number;
}

/**
 * When a domain is due again, in milliseconds since 1970. PENDING: 15 min, doubling to 12 h, and at the end
 * of the token's life. VERIFIED: 24 h; sooner to confirm an absence or after a check that learnt nothing.
 * AT_RISK: each hour.
 */
export function nextCheckMs(facts: ScheduleFacts, nowMs: number): number {
  switch (facts.state) {
    case 'PENDING': {
      const doublings = Math.min(Math.max(facts.checkCount, 0), 10);
      const next = nowMs + Math.min(PENDING_FIRST_MS * 2 ** doublings, PENDING_LONGEST_MS);
      return facts.deadlineMs > nowMs ? Math.min(next, facts.deadlineMs) : next;
    }
    case 'VERIFIED':
      if (facts.verdict === 'ABSENT' && facts.absentAgainMs > nowMs) return facts.absentAgainMs + 1_000;
      return nowMs + (facts.verdict === 'INDETERMINATE' ? SOON_MS : VERIFIED_EVERY_MS);
    case 'AT_RISK':
      return nowMs + SOON_MS;
  }
}

/** The earliest time for a second check to confirm an absence: further away than the negative answer lives. */
export function absenceCheckableMs(finishedMs: number, negativeTtlSeconds: number): number {
  const ttlMs = Number.isFinite(negativeTtlSeconds) ? negativeTtlSeconds * 1_000 : ABSENCE_LONGEST_MS;
  return finishedMs + Math.min(Math.max(ttlMs, ABSENCE_SHORTEST_MS), ABSENCE_LONGEST_MS);
}
