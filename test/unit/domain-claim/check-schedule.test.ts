import { describe, expect, test } from '@jest/globals';
import { absenceCheckableMs, nextCheckMs } from '../../../src/jobs/domain-claim/check-schedule.js';
import { DAY_MS, HOUR_MS, MINUTE_MS, NOW_MS } from './samples.js';

const pending = (checkCount: number, deadlineMs = NaN) =>
  nextCheckMs({ state: 'PENDING', verdict: 'ABSENT', checkCount, deadlineMs, absentAgainMs: NaN }, NOW_MS) -
  NOW_MS;

describe('a pending domain', () => {
  test('is checked after 15 minutes, then ever less often, down to every 12 hours', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 1_000_000].map((count) => pending(count) / MINUTE_MS)).toEqual([
      15, 30, 60, 120, 240, 480, 720, 720,
    ]);
  });

  test('is checked at the end of its token’s life, not hours after', () => {
    expect(pending(9, NOW_MS + HOUR_MS)).toBe(HOUR_MS);
  });

  test('whose token has died is not due at once for ever', () => {
    expect(pending(9, NOW_MS - HOUR_MS)).toBe(12 * HOUR_MS);
  });
});

describe('a verified domain', () => {
  const facts = { state: 'VERIFIED', checkCount: 9, deadlineMs: NaN, absentAgainMs: NaN } as const;

  test('is checked again after 24 hours', () => {
    expect(nextCheckMs({ ...facts, verdict: 'PRESENT' }, NOW_MS)).toBe(NOW_MS + DAY_MS);
  });

  test('is checked sooner after a check that learnt nothing', () => {
    expect(nextCheckMs({ ...facts, verdict: 'INDETERMINATE' }, NOW_MS)).toBe(NOW_MS + HOUR_MS);
  });

  test('does not wait for a long-lived negative answer to learn what it failed to learn', () => {
    const facts24 = { ...facts, verdict: 'INDETERMINATE', absentAgainMs: NOW_MS + DAY_MS } as const;
    expect(nextCheckMs(facts24, NOW_MS)).toBe(NOW_MS + HOUR_MS);
  });

  test('has its absence confirmed right after the negative answer has died', () => {
    const absentAgainMs = NOW_MS + 20 * MINUTE_MS;
    const next = nextCheckMs({ ...facts, verdict: 'ABSENT', absentAgainMs }, NOW_MS);
    expect(next).toBeGreaterThan(absentAgainMs);
    expect(next).toBeLessThan(absentAgainMs + MINUTE_MS);
  });
});

test('a domain at risk is checked each hour, so that a repair shows soon', () => {
  const facts = {
    state: 'AT_RISK',
    verdict: 'ABSENT',
    checkCount: 9,
    deadlineMs: NaN,
    absentAgainMs: NaN,
  } as const;
  expect(nextCheckMs(facts, NOW_MS)).toBe(NOW_MS + HOUR_MS);
});

describe('two checks that agree on absence', () => {
  test.each([
    ['further apart than the negative TTL', 3_600, HOUR_MS],
    ['at least 15 minutes apart, however small the TTL', 0, 15 * MINUTE_MS],
    ['never asked to be years apart by a hostile TTL', 2 ** 31, DAY_MS],
    ['a day apart where the TTL is no number', NaN, DAY_MS],
  ])('are %s', (_, ttlSeconds, gapMs) => {
    expect(absenceCheckableMs(NOW_MS, ttlSeconds)).toBe(NOW_MS + gapMs);
  });
});
