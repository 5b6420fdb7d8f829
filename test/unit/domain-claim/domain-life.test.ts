import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decideDomain, isOverruled, type Check } from '../../../src/jobs/domain-claim/decide-domain.js';
import { DOMAIN_MOVES } from '../../../src/jobs/domain-claim/domain-states.js';
import type { DueDomain } from '../../../src/jobs/domain-claim/facts.js';
import type { Verdict } from '../../../src/jobs/domain-claim/proof.js';
import {
  atRiskDomain,
  check,
  DAY_MS,
  dueDomain,
  HOUR_MS,
  MINUTE_MS,
  NOW_MS,
  verifiedDomain,
} from './samples.js';

/** One check in a domain's life: how long after the last one, and what it said. */
interface Step {
  readonly afterMs: number;
  readonly verdict: Verdict;
  readonly negativeTtlSeconds: number;
  readonly rivalPresent: boolean;
  /** How long before the check another region's owner was last seen; null: there is none. */
  readonly elsewhereMs: number | null;
}

const step: fc.Arbitrary<Step> = fc.record({
  afterMs: fc.integer({ min: MINUTE_MS, max: 3 * DAY_MS }),
  verdict: fc.constantFrom<Verdict[]>('PRESENT', 'ABSENT', 'INDETERMINATE'),
  negativeTtlSeconds: fc.constantFrom(0, 60, 3_600, 86_400, 2 ** 31),
  rivalPresent: fc.boolean(),
  elsewhereMs: fc.option(fc.integer({ min: 0, max: 3 * DAY_MS })),
});
const start = fc.oneof(
  fc.constant(dueDomain()),
  fc.constant(verifiedDomain()),
  fc.constant(atRiskDomain()),
  fc.constant(dueDomain({ withdrawn_at: dueDomain().token_issued_at })),
  fc.constant(dueDomain({ rival_owns: true })),
  fc.constant(verifiedDomain({ rival_contests: true })),
);

interface Moment {
  readonly before: DueDomain;
  readonly check: Check;
  readonly after: DueDomain;
}

function live(first: DueDomain, steps: readonly Step[]): Moment[] {
  let row = first;
  let nowMs = NOW_MS;
  const moments: Moment[] = [];
  for (const { afterMs, elsewhereMs, ...said } of steps) {
    nowMs += afterMs;
    const made = check(said.verdict, {
      ...{ ...said, startedMs: nowMs, finishedMs: nowMs + 25 },
      ownedElsewhereMs: elsewhereMs === null ? null : nowMs - elsewhereMs,
    });
    const decision = decideDomain(row, made, nowMs + 25);
    if (decision === undefined) break;
    const after = { ...row, ...(decision.after as Partial<DueDomain>) };
    const { [decision.kind]: moved } = DOMAIN_MOVES[row.state as keyof typeof DOMAIN_MOVES];
    if (moved !== after.state)
      throw new Error(`${decision.kind}: ${row.state} became ${after.state}, not ${moved}`);
    moments.push({ before: row, check: made, after });
    row = after;
  }
  return moments;
}

const lives = fc.tuple(start, fc.array(step, { maxLength: 25 })).map(([row, steps]) => live(row, steps));
const holds = (name: string, rule: (moments: readonly Moment[]) => void) =>
  test(name, () => fc.assert(fc.property(lives, rule), { numRuns: 1_000 }));

holds('INDETERMINATE never changes a state, nor when a proof was last seen', (moments) => {
  for (const { before, check: made, after } of moments) {
    if (made.verdict !== 'INDETERMINATE' || isOverruled(before)) continue;
    expect(after).toEqual({
      ...before,
      checked_at: after.checked_at,
      check_count: before.check_count + 1,
      next_check_at: after.next_check_at,
    });
  }
});

holds('nothing becomes VERIFIED but by PRESENT', (moments) => {
  for (const { before, check: made, after } of moments) {
    if (after.state === 'VERIFIED' && before.state !== 'VERIFIED') expect(made.verdict).toBe('PRESENT');
    if (after.proof_seen_at !== before.proof_seen_at) expect(made.verdict).toBe('PRESENT');
  }
});

holds(
  'nothing is put at risk or lapses but by two absences, further apart than the negative TTL',
  (moments) => {
    moments.forEach(({ before, check: made, after }, index) => {
      if (after.state === before.state || (after.state !== 'AT_RISK' && after.state !== 'LAPSED')) return;
      expect(made.verdict).toBe('ABSENT');
      if (before.absent_at === atRiskDomain().absent_at) return; // the first absence is older than this life
      const since = moments.slice(0, index).findLastIndex((each) => each.check.verdict === 'PRESENT');
      const first = moments.slice(since + 1, index).find((each) => each.check.verdict === 'ABSENT');
      if (first === undefined) throw new Error('there was no first absence');
      const ttlMs = Math.min(first.check.negativeTtlSeconds * 1_000, DAY_MS);
      expect(made.startedMs - first.check.finishedMs).toBeGreaterThan(ttlMs);
    });
  },
);

holds('a domain lapses no sooner than seven days after it was put at risk', (moments) => {
  for (const { before, check: made, after } of moments) {
    if (after.state === 'LAPSED' && before.state === 'AT_RISK') {
      expect(made.startedMs - Date.parse(String(before.at_risk_since))).toBeGreaterThanOrEqual(7 * DAY_MS);
    }
  }
});

holds('a request that does not stand, or a name with an owner, is never verified', (moments) => {
  for (const { before, after } of moments) {
    if (before.withdrawn_at === null && !before.rival_owns) continue;
    expect(after.state).not.toBe('VERIFIED');
  }
});

holds('a name that two prove in one check is verified for neither', (moments) => {
  for (const { before, check: made, after } of moments) {
    if (before.state === 'PENDING' && made.rivalPresent) expect(after.state).not.toBe('VERIFIED');
  }
});

holds(
  'a name that another region owns is not verified, nor contested before that was seen behind a proof',
  (moments) => {
    let provedMs = NaN;
    for (const { before, check: made, after } of moments) {
      if (before.state !== 'PENDING' || made.verdict === 'INDETERMINATE') continue;
      const seenMs = made.ownedElsewhereMs;
      if (seenMs !== null) {
        expect(after.state).not.toBe('VERIFIED');
        const byRivals = before.rival_owns || before.rival_contests || made.rivalPresent;
        if (after.state === 'CONTESTED' && !byRivals) expect(provedMs).toBeLessThan(seenMs);
      }
      if (made.verdict === 'PRESENT') provedMs = made.finishedMs;
    }
  },
);

holds('the next check is always ahead, and never more than a day or so', (moments) => {
  for (const { check: made, after } of moments) {
    if (after.next_check_at === null) continue;
    const aheadMs = Date.parse(after.next_check_at) - made.finishedMs;
    expect(aheadMs).toBeGreaterThan(0);
    expect(aheadMs).toBeLessThanOrEqual(DAY_MS + HOUR_MS);
  }
});

test('a domain whose resolvers are all down for a year is where it was', () => {
  const year = Array.from({ length: 365 }, () => ({
    afterMs: DAY_MS,
    verdict: 'INDETERMINATE' as const,
    negativeTtlSeconds: 0,
    rivalPresent: false,
    elsewhereMs: null,
  }));
  for (const row of [dueDomain(), verifiedDomain(), atRiskDomain()]) {
    expect(live(row, year).at(-1)?.after.state).toBe(row.state);
  }
});
