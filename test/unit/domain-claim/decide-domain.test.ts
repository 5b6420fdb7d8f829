import { describe, expect, test } from '@jest/globals';
import { decideDomain, lookupObstacle } from '../../../src/jobs/domain-claim/decide-domain.js';
import { DOMAIN_CHANGES, DOMAIN_COMPARES, type DueDomain } from '../../../src/jobs/domain-claim/facts.js';
import {
  at,
  atRiskDomain,
  check,
  DAY_MS,
  dueDomain,
  HOUR_MS,
  MINUTE_MS,
  NOW_MS,
  OTHER_TOKEN,
  verifiedDomain,
} from './samples.js';

const decide = (row: DueDomain, ...[said, nowMs]: [Parameters<typeof decideDomain>[1], number?]) =>
  decideDomain(row, said, nowMs ?? NOW_MS + 40);
const iso = (offsetMs: number) => new Date(NOW_MS + offsetMs).toISOString();

/** The kind, reason and state that a decision comes to. */
const gist = (...args: Parameters<typeof decide>) => {
  const decision = decide(...args);
  return decision && [decision.kind, decision.reason, decision.after['state']];
};

describe('a pending domain', () => {
  test('is verified by a proof, with the proof’s particulars', () => {
    const decision = decide(dueDomain(), check('PRESENT', { proof: 'https' }));
    expect(decision).toMatchObject({
      kind: 'verify',
      after: {
        state: 'VERIFIED',
        verified_at: iso(40),
        proof: 'https',
        proof_seen_at: iso(40),
        check_started_at: iso(0),
        checked_at: iso(40),
        check_count: 1,
        next_check_at: iso(DAY_MS + 40),
      },
    });
  });

  test('stays pending without one, and its check is noted', () => {
    const decision = decide(dueDomain({ check_count: 2 }), check('ABSENT'));
    expect(decision).toMatchObject({
      kind: 'note',
      reason: 'proof-absent',
      after: { state: 'PENDING', check_count: 3, proof: null, next_check_at: iso(HOUR_MS + 40) },
    });
  });

  test('is verified though a negative answer was cached before the record was added', () => {
    const first = decide(dueDomain(), check('ABSENT'));
    const later = dueDomain({ ...(first?.after as Partial<DueDomain>) });
    expect(
      gist(later, check('PRESENT', { startedMs: NOW_MS + HOUR_MS, finishedMs: NOW_MS + HOUR_MS })),
    ).toEqual(['verify', 'proof-seen', 'VERIFIED']);
  });

  test('expires when its token is seven days old, whatever is found', () => {
    const old = dueDomain({ requested_at: at(-7 * DAY_MS - 1), token_issued_at: at(-7 * DAY_MS) });
    expect(gist(old, check('ABSENT'))).toEqual(['expire', 'token-expired', 'EXPIRED']);
    expect(gist(old, check('PRESENT'))).toEqual(['expire', 'token-expired', 'EXPIRED']);
    expect(decide(old, check('ABSENT'))?.after['next_check_at']).toBeNull();
  });

  test('is checked at the end of its token’s life, not a microsecond before, so that this check ends it', () => {
    const row = dueDomain({
      token_issued_at: at(-7 * DAY_MS + HOUR_MS).replace('000+00', '123+00'),
      check_count: 9,
    });
    const next = Date.parse(String(decide(row, check('ABSENT'))?.after['next_check_at']));
    expect(gist(row, check('ABSENT', { startedMs: next }))).toEqual(['expire', 'token-expired', 'EXPIRED']);
  });

  test('does not expire a moment before', () => {
    const young = dueDomain({ requested_at: at(-7 * DAY_MS), token_issued_at: at(-7 * DAY_MS + 1) });
    expect(gist(young, check('PRESENT'))).toEqual(['verify', 'proof-seen', 'VERIFIED']);
  });

  test.each<[string, string, Partial<DueDomain>]>([
    ['requested_by is null', 'no-requester', { requested_by: null, admin_since: null }],
    ['the request is by a removed admin', 'admin-removed', { admin_removed_at: at(-1) }],
    ['the request was withdrawn midway', 'request-withdrawn', { withdrawn_at: at(-1) }],
    ['the organisation is suspended', 'organisation-suspended', { organisation_suspended_at: at(-1) }],
  ])('is not verified by a proof where %s', (_, reason, spoilt) => {
    expect(gist(dueDomain(spoilt), check('PRESENT'))).toEqual(['note', reason, 'PENDING']);
  });

  test('is not verified by a check that started before the token was issued', () => {
    const row = dueDomain({ requested_at: at(MINUTE_MS), token_issued_at: at(2 * MINUTE_MS) });
    expect(gist(row, check('PRESENT'))).toEqual(['note', 'check-before-token', 'PENDING']);
  });

  test('is not verified by a check that started at the very time the token was issued', () => {
    expect(gist(dueDomain({ token_issued_at: at(0) }), check('PRESENT'))).toEqual([
      'note',
      'check-before-token',
      'PENDING',
    ]);
  });
});

describe('a domain that cannot be looked up', () => {
  test.each<[string, string, Partial<DueDomain>]>([
    ['has no request row', 'no-request', { token: null, request_domain_name: null }],
    [
      'has the token of another organisation',
      'request-of-another-organisation',
      { request_organisation_id: 'org-b' },
    ],
    ['is a public suffix', 'public-suffix', { name: 'co.uk' }],
    ['is localhost', 'unknown-suffix', { name: 'localhost' }],
    ['is an IP address', 'ip-address', { name: '127.0.0.1' }],
    ['is a mail provider', 'mail-provider', { name: 'gmail.com' }],
    ['is not written in its canonical form', 'name-not-canonical', { name: 'Example.com' }],
    ['is an IDN instead of its punycode twin', 'name-not-canonical', { name: 'bücher.de' }],
  ])('%s', (_, reason, spoilt) => {
    expect(lookupObstacle(dueDomain(spoilt))).toBe(reason);
  });

  test('stays as it is; the look counts, so that the next one backs off, but it checked nothing', () => {
    for (const row of [dueDomain({ check_count: 3 }), verifiedDomain(), atRiskDomain()]) {
      const decision = decide(row, 'no-request');
      expect(decision).toMatchObject({
        kind: 'note',
        reason: 'no-request',
        after: {
          state: row.state,
          checked_at: row.checked_at,
          check_count: row.check_count + 1,
          proof_seen_at: row.proof_seen_at,
        },
      });
    }
  });

  test('expires with its token', () => {
    const old = dueDomain({ token_issued_at: at(-8 * DAY_MS) });
    expect(gist(old, 'mail-provider')).toEqual(['expire', 'mail-provider', 'EXPIRED']);
  });
});

describe('a verified domain', () => {
  test('has its proof renewed by a proof, and no other date moved', () => {
    const row = verifiedDomain({ absent_at: at(-HOUR_MS), absent_again_at: at(-MINUTE_MS) });
    const decision = decide(row, check('PRESENT', { proof: 'https' }));
    expect(decision?.kind).toBe('confirm');
    expect(decision?.after).toMatchObject({
      state: 'VERIFIED',
      verified_at: row.verified_at,
      proof: 'https',
      proof_seen_at: iso(40),
      absent_at: null,
      absent_again_at: null,
    });
  });

  test('is not put at risk by one absence; a second check is set further off than the negative TTL', () => {
    const decision = decide(verifiedDomain(), check('ABSENT', { negativeTtlSeconds: 3_600 }));
    expect(decision).toMatchObject({
      kind: 'note',
      after: {
        state: 'VERIFIED',
        absent_at: iso(0),
        absent_again_at: iso(HOUR_MS + 40),
        next_check_at: iso(HOUR_MS + 1_040),
        proof_seen_at: verifiedDomain().proof_seen_at,
      },
    });
  });

  const missed = { absent_at: at(-HOUR_MS), absent_again_at: at(-MINUTE_MS) };

  test('is put at risk by a second absence, and the grace begins', () => {
    const decision = decide(verifiedDomain(missed), check('ABSENT'));
    expect(decision).toMatchObject({
      kind: 'at-risk',
      reason: 'absence-confirmed',
      after: { state: 'AT_RISK', at_risk_since: iso(0), absent_at: missed.absent_at },
    });
  });

  test('is not put at risk by a second absence that the same cached answer may have said', () => {
    for (const again of [at(0), at(1), at(MINUTE_MS)]) {
      const row = verifiedDomain({ absent_at: at(-MINUTE_MS), absent_again_at: again });
      expect(gist(row, check('ABSENT'))).toEqual(['note', 'proof-absent', 'VERIFIED']);
      expect(decide(row, check('ABSENT'))?.after).toMatchObject({
        absent_at: at(-MINUTE_MS),
        absent_again_at: again,
      });
    }
  });

  test('is not put at risk where only the time of a second check is known, and no first absence', () => {
    const row = verifiedDomain({ absent_at: null, absent_again_at: at(-HOUR_MS) });
    expect(gist(row, check('ABSENT'))).toEqual(['note', 'proof-absent', 'VERIFIED']);
    expect(decide(row, check('ABSENT'))?.after['absent_at']).toBe(iso(0));
  });

  test('that flaps starts from the beginning after each proof', () => {
    const seen = decide(verifiedDomain(missed), check('PRESENT'));
    const again = verifiedDomain({ ...(seen?.after as Partial<DueDomain>) });
    expect(gist(again, check('ABSENT', { startedMs: NOW_MS + DAY_MS }))).toEqual([
      'note',
      'proof-absent',
      'VERIFIED',
    ]);
  });

  test('keeps a first absence over a check that learnt nothing', () => {
    const decision = decide(verifiedDomain(missed), check('INDETERMINATE'));
    expect(decision?.after).toMatchObject({ state: 'VERIFIED', ...missed });
  });

  test('stays verified though the admin who asked has left: only claims need one', () => {
    const row = verifiedDomain({ admin_removed_at: at(-DAY_MS) });
    expect(gist(row, check('PRESENT'))).toEqual(['confirm', 'proof-seen', 'VERIFIED']);
  });
});

describe('a domain at risk', () => {
  test('recovers by a proof', () => {
    const decision = decide(atRiskDomain(), check('PRESENT'));
    expect(decision).toMatchObject({
      kind: 'recover',
      after: { state: 'VERIFIED', at_risk_since: null, absent_at: null, absent_again_at: null },
    });
  });

  test('stays at risk within the grace of seven days', () => {
    const row = atRiskDomain({ at_risk_since: at(-7 * DAY_MS + 1) });
    expect(gist(row, check('ABSENT'))).toEqual(['note', 'proof-absent', 'AT_RISK']);
  });

  test('lapses when the grace is over and the proof is still absent', () => {
    const row = atRiskDomain({ at_risk_since: at(-7 * DAY_MS) });
    expect(gist(row, check('ABSENT'))).toEqual(['lapse', 'grace-over', 'LAPSED']);
    expect(decide(row, check('ABSENT'))?.after['next_check_at']).toBeNull();
  });

  test('does not lapse while nothing can be learnt, however long', () => {
    const row = atRiskDomain({ at_risk_since: at(-90 * DAY_MS) });
    expect(gist(row, check('INDETERMINATE'))).toEqual(['note', 'nothing-learnt', 'AT_RISK']);
  });

  test('whose absence was never confirmed does not lapse on one answer', () => {
    const row = atRiskDomain({ at_risk_since: at(-8 * DAY_MS), absent_at: null, absent_again_at: null });
    expect(gist(row, check('ABSENT'))).toEqual(['note', 'proof-absent', 'AT_RISK']);
  });

  test('since nobody knows when gets its whole grace from now', () => {
    const decision = decide(atRiskDomain({ at_risk_since: null }), check('ABSENT'));
    expect(decision).toMatchObject({ kind: 'note', after: { state: 'AT_RISK', at_risk_since: iso(0) } });
  });
});

describe('a name that two organisations want', () => {
  test('is contested when the second proves it while the first owns it', () => {
    const decision = decide(dueDomain({ rival_owns: true }), check('PRESENT'));
    expect(decision).toMatchObject({
      kind: 'contest',
      reason: 'name-owned-by-another',
      after: { state: 'CONTESTED', proof: 'dns', verified_at: null, next_check_at: null },
    });
  });

  test('is not contested by a request without proof', () => {
    const row = dueDomain({ rival_owns: true });
    expect(gist(row, check('ABSENT'))).toEqual(['note', 'proof-absent', 'PENDING']);
    expect(gist(row, check('INDETERMINATE'))).toEqual(['note', 'nothing-learnt', 'PENDING']);
  });

  test('is not contested by a request that does not stand', () => {
    const row = dueDomain({ rival_owns: true, withdrawn_at: at(-1) });
    expect(gist(row, check('PRESENT'))).toEqual(['note', 'request-withdrawn', 'PENDING']);
  });

  test('is not contested by an old token that somebody publishes again', () => {
    const row = dueDomain({
      rival_owns: true,
      requested_at: at(-9 * DAY_MS),
      token_issued_at: at(-8 * DAY_MS),
    });
    expect(gist(row, check('PRESENT'))).toEqual(['expire', 'token-expired', 'EXPIRED']);
  });

  test('is contested when both prove it in the same check, and neither is verified', () => {
    const row = dueDomain({ rival_tokens: JSON.stringify([OTHER_TOKEN]) });
    expect(gist(row, check('PRESENT', { rivalPresent: true }))).toEqual([
      'contest',
      'name-proved-by-another',
      'CONTESTED',
    ]);
  });

  test('is contested where another region owns it, once that was seen after the proof had been', () => {
    const first = check('PRESENT', { ownedElsewhereMs: NOW_MS - HOUR_MS });
    const noted = decide(dueDomain({ check_count: 9 }), first);
    expect(noted).toMatchObject({
      ...{ kind: 'note', reason: 'name-owned-elsewhere' },
      after: { state: 'PENDING', proof: 'dns', proof_seen_at: iso(40), verified_at: null },
    });
    // Soon, however often it was checked: what the other database has is read every ten minutes.
    expect(noted?.after['next_check_at']).toBe(iso(15 * MINUTE_MS + 40));
    const row = dueDomain({ ...(noted?.after as Partial<DueDomain>) });
    const again = (seenMs: number | null) =>
      gist(
        row,
        check('PRESENT', {
          startedMs: NOW_MS + HOUR_MS,
          finishedMs: NOW_MS + HOUR_MS,
          ownedElsewhereMs: seenMs,
        }),
      );
    expect(again(NOW_MS)).toEqual(['note', 'name-owned-elsewhere', 'PENDING']);
    expect(again(NOW_MS + MINUTE_MS)).toEqual(['contest', 'name-owned-elsewhere', 'CONTESTED']);
    // The owner gave it up meanwhile.
    expect(again(null)).toEqual(['verify', 'proof-seen', 'VERIFIED']);
  });

  test('is not contested by the proof of an earlier token', () => {
    const row = dueDomain({
      ...{ proof: 'dns', proof_seen_at: at(-3 * DAY_MS), check_started_at: at(-3 * DAY_MS - 1_000) },
    });
    expect(gist(row, check('PRESENT', { ownedElsewhereMs: NOW_MS - HOUR_MS }))).toEqual([
      'note',
      'name-owned-elsewhere',
      'PENDING',
    ]);
  });

  test('that another region owns is noted only with a proof, and a request that stands', () => {
    const elsewhere = { ownedElsewhereMs: NOW_MS };
    expect(gist(dueDomain(), check('ABSENT', elsewhere))).toEqual(['note', 'proof-absent', 'PENDING']);
    const withdrawn = dueDomain({ withdrawn_at: at(-1) });
    expect(gist(withdrawn, check('PRESENT', elsewhere))).toEqual(['note', 'request-withdrawn', 'PENDING']);
  });

  test('is contested for a third organisation too, until a person has decided', () => {
    expect(gist(dueDomain({ rival_contests: true }), check('PRESENT'))).toEqual([
      'contest',
      'name-contested',
      'CONTESTED',
    ]);
  });

  test('is contested for its owner as soon as the other’s row is, without a look', () => {
    for (const row of [verifiedDomain({ rival_contests: true }), atRiskDomain({ rival_contests: true })]) {
      expect(gist(row, undefined)).toEqual(['contest', 'name-contested', 'CONTESTED']);
      expect(decide(row, undefined)?.after).toMatchObject({
        verified_at: row.verified_at,
        check_count: row.check_count,
        checked_at: row.checked_at,
      });
    }
  });
});

test.each(['LAPSED', 'EXPIRED', 'REMOVED', 'CONTESTED', 'SUPERSEDED', 'UNHEARD_OF'])(
  'a domain that is %s is not the job’s: only a person, with a new request and token, brings it back',
  (state) => {
    for (const verdict of ['PRESENT', 'ABSENT', 'INDETERMINATE'] as const) {
      expect(decide(dueDomain({ state }), check(verdict))).toBeUndefined();
    }
    expect(decide(dueDomain({ state, rival_contests: true }), 'no-request')).toBeUndefined();
  },
);

test('a change has every declared column, before exactly as it was read', () => {
  const row = verifiedDomain();
  const decision = decide(row, check('PRESENT'));
  const declared: readonly string[] = [...DOMAIN_CHANGES, ...DOMAIN_COMPARES];
  expect(Object.keys(decision?.before ?? {}).toSorted()).toEqual(declared.toSorted());
  expect(Object.keys(decision?.after ?? {}).toSorted()).toEqual([...DOMAIN_CHANGES].toSorted());
  expect(row).toMatchObject(decision?.before ?? { id: 'nothing' });
});
