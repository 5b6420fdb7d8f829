import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decideClaim } from '../../../src/jobs/domain-claim/decide-claim.js';
import {
  ACCOUNT_CHANGES,
  ACCOUNT_COMPARES,
  type ClaimCandidate,
} from '../../../src/jobs/domain-claim/facts.js';
import { at, candidate, DAY_MS, MINUTE_MS, NOW_MS, TOKEN } from './samples.js';

const REGION = 'eu-west-1';
const decide = (over: Partial<ClaimCandidate> = {}) => decideClaim(candidate(over), REGION, NOW_MS);
const reasonOf = (over: Partial<ClaimCandidate>) => {
  const decision = decide(over);
  return decision.ok ? 'claimed' : decision.reason;
};

test('an account in order is claimed: state, organisation, domain and time, and nothing else', () => {
  expect(decide()).toEqual({
    ok: true,
    before: Object.fromEntries(
      [...ACCOUNT_CHANGES, ...ACCOUNT_COMPARES].map((column) => [column, candidate()[column]]),
    ),
    after: {
      state: 'MANAGED',
      organisation_id: 'org-a',
      claimed_domain_id: 'domain-1',
      claimed_at: '2026-03-10T12:00:00.000Z',
    },
  });
});

test('a claim compares the e-mail, so one changed between read and claim is a conflict', () => {
  const decision = decide();
  expect(decision.ok && decision.before).toMatchObject({ email: 'ada@example.com', email_verified: true });
});

describe('an account is not claimed', () => {
  test.each<[string, string, Partial<ClaimCandidate>]>([
    ['by another region than its home', 'another-region', { home_region: 'us-east-1' }],
    ['that its organisation has released: no re-claim', 'not-claimable-state', { state: 'RELEASED' }],
    ['that is excluded', 'not-claimable-state', { state: 'EXCLUDED' }],
    ['that is in conflict', 'not-claimable-state', { state: 'CONFLICT' }],
    ['that is managed already', 'not-claimable-state', { state: 'MANAGED', organisation_id: 'org-a' }],
    [
      'that is managed by another organisation',
      'not-claimable-state',
      { state: 'MANAGED', organisation_id: 'org-b' },
    ],
    ['that says unmanaged but has a managing organisation', 'managed-already', { organisation_id: 'org-b' }],
    ['in a state nobody has heard of', 'not-claimable-state', { state: 'constructor' }],
    ['that is a bot', 'not-a-person', { kind: 'bot' }],
    ['that is a service account', 'not-a-person', { kind: 'service' }],
    ['of a help desk’s customer', 'not-a-person', { kind: 'portal-customer' }],
    ['that is deactivated', 'deactivated', { deactivated_at: at(-DAY_MS) }],
    ['that is deleted', 'deleted', { deleted_at: at(-DAY_MS) }],
    ['whose e-mail is not verified', 'email-not-verified', { email_verified: false }],
    ['at a@evil-example.com', 'email-of-another-domain', { email: 'a@evil-example.com' }],
    ['at a@example.com@evil.com', 'email-malformed', { email: 'a@example.com@evil.com' }],
    ['with a display name', 'email-malformed', { email: 'Ada <ada@example.com>' }],
    ['with a newline', 'email-malformed', { email: 'ada@example.com\n' }],
    ['at a subdomain address', 'email-of-another-domain', { email: 'ada@mail.example.com' }],
    [
      'at the parent of the verified domain',
      'email-of-another-domain',
      { domain_name: 'mail.example.com', request_domain_name: 'mail.example.com' },
    ],
    [
      'at a child that another organisation owns',
      'email-of-another-domain',
      { email: 'ada@child.example.com' },
    ],
    [
      'that is the last working admin of another organisation',
      'last-admin-of-another-organisation',
      { last_admin_of: 'org-b' },
    ],
    ['without consent', 'no-consent', { consent: 'none' }],
    ['with a consent nobody has heard of', 'no-consent', { consent: 'ALL' }],
    ['that was not selected', 'not-selected', { consent: 'selected' }],
    ['that another organisation selected', 'not-selected', { consent: 'selected', selected_by: 'org-b' }],
    ['under a consent that begins later', 'consent-later', { consent_at: at(DAY_MS) }],
    ['for a domain that is pending', 'domain-not-verified', { domain_state: 'PENDING' }],
    ['for a domain at risk', 'domain-not-verified', { domain_state: 'AT_RISK' }],
    ['for a domain that lapsed', 'domain-not-verified', { domain_state: 'LAPSED' }],
    ['for a domain that is contested', 'domain-not-verified', { domain_state: 'CONTESTED' }],
    ['for a domain that was never verified', 'domain-not-verified', { verified_at: null }],
    ['for a domain that another organisation contests', 'domain-contested', { rival_contests: true }],
    ['for a domain not written canonically', 'request-for-another-domain', { domain_name: 'Example.com' }],
    ['for a domain without a proof', 'no-proof', { proof: null }],
    ['for a proof that nobody saw', 'no-proof', { proof_seen_at: null }],
    ['for a proof seen before its check began', 'no-proof', { proof_seen_at: at(-2 * DAY_MS) }],
    ['for a check whose start nobody knows', 'no-proof', { check_started_at: null }],
  ])('%s', (_, reason, spoilt) => {
    expect(reasonOf(spoilt)).toBe(reason);
  });

  test.each<[string, string, Partial<ClaimCandidate>]>([
    ['there is no request row', 'no-request', { token: null, request_domain_name: null }],
    ['requested_by is null', 'no-requester', { requested_by: null }],
    ['the request is by a removed admin', 'admin-removed', { admin_removed_at: at(-1) }],
    ['the request is by nobody’s admin', 'requester-not-admin', { admin_since: null }],
    ['the request was withdrawn midway', 'request-withdrawn', { withdrawn_at: at(-1) }],
    [
      'the token is of another organisation',
      'request-of-another-organisation',
      { request_organisation_id: 'org-b' },
    ],
    ['the token is for another domain', 'request-for-another-domain', { request_domain_name: 'example.org' }],
    ['the token is no token', 'token-malformed', { token: TOKEN.slice(1) }],
    ['the organisation is suspended', 'organisation-suspended', { organisation_suspended_at: at(-1) }],
  ])('where %s', (_, reason, spoilt) => {
    expect(reasonOf(spoilt)).toBe(reason);
  });
});

describe('the clocks: requested < token issued < check started ≤ claimed', () => {
  test.each<[string, string, Partial<ClaimCandidate>]>([
    [
      'a token issued before its request',
      'token-before-request',
      { requested_at: at(-DAY_MS - MINUTE_MS), token_issued_at: at(-2 * DAY_MS) },
    ],
    [
      'a request made after the check started',
      'token-after-check',
      { requested_at: at(-DAY_MS + 10), token_issued_at: at(-DAY_MS + 20) },
    ],
    [
      'a token issued as the check started',
      'token-after-check',
      { token_issued_at: candidate().check_started_at },
    ],
    [
      'an old proof under a new request',
      'token-after-check',
      { requested_at: at(-2 * MINUTE_MS), token_issued_at: at(-MINUTE_MS) },
    ],
    ['a proof from the future', 'check-in-the-future', { check_started_at: at(1), proof_seen_at: at(2) }],
    ['a proof that lasts for ever', 'check-in-the-future', { proof_seen_at: 'infinity' }],
    [
      'evidence a moment over seven days old',
      'evidence-too-old',
      {
        requested_at: at(-30 * DAY_MS),
        token_issued_at: at(-29 * DAY_MS),
        check_started_at: at(-7 * DAY_MS - 1),
      },
    ],
  ])('%s claims nothing', (_, reason, spoilt) => {
    expect(reasonOf(spoilt)).toBe(reason);
  });

  test('microseconds count', () => {
    const requested_at = '2026-03-08 12:00:00.000001+00';
    const token_issued_at = '2026-03-08 12:00:00.000002+00';
    expect(reasonOf({ requested_at, token_issued_at })).toBe('claimed');
    expect(reasonOf({ requested_at: token_issued_at, token_issued_at: requested_at })).toBe(
      'token-before-request',
    );
  });

  test('evidence of exactly seven days still carries a claim', () => {
    const aged = {
      requested_at: at(-30 * DAY_MS),
      token_issued_at: at(-29 * DAY_MS),
      check_started_at: at(-7 * DAY_MS),
    };
    expect(reasonOf(aged)).toBe('claimed');
  });

  test('a check may start as the claim is made', () => {
    expect(reasonOf({ check_started_at: at(0), proof_seen_at: at(0) })).toBe('claimed');
  });
});

test.each<[string, Partial<ClaimCandidate>]>([
  ['an account that the organisation selected', { consent: 'selected', selected_by: 'org-a' }],
  ['an address in upper case', { email: 'Ada@EXAMPLE.com' }],
  [
    'an address at an IDN, in punycode or not',
    { email: 'ada@bücher.de', domain_name: 'xn--bcher-kva.de', request_domain_name: 'Bücher.de' },
  ],
  ['a consent whose date was not recorded', { consent_at: null }],
  ['a proof over HTTPS', { proof: 'https' }],
  ['the organisation’s own admin', { id: 'admin-a' }],
])('%s is claimed', (_, over) => {
  expect(reasonOf(over)).toBe('claimed');
});

/** The invariants of docs/reference/domain-claim.md, written a second time, in other words and by other means. */
function invariantsBrokenBy(c: ClaimCandidate, region: string, nowMs: number): number[] {
  const time = (text: string | null) =>
    text === null ? NaN : Date.parse(text.replace(' ', 'T').replace(/\+00$/, 'Z'));
  const week = 604_800_000;
  const issuedForExactlyThis =
    c.request_organisation_id === c.domain_organisation_id &&
    c.request_domain_name === c.domain_name &&
    /^[0-9a-f]{32}$/.test(c.token ?? '');
  const byValidAdmin =
    c.requested_by !== null && time(c.admin_since) <= time(c.requested_at) && c.admin_removed_at === null;
  const clocks = [c.requested_at, c.token_issued_at, c.check_started_at].map(time);
  const [requested = NaN, issued = NaN, started = NaN] = clocks;
  const checks: [number, boolean][] = [
    [1, c.domain_state === 'VERIFIED' && issuedForExactlyThis && byValidAdmin && c.withdrawn_at === null],
    [2, requested < issued && issued < started && started <= nowMs],
    [3, nowMs - started <= week && nowMs - time(c.proof_seen_at) <= week],
    [4, c.consent === 'all' || (c.consent === 'selected' && c.selected_by === c.domain_organisation_id)],
    [5, !c.rival_contests],
    [7, c.state === 'UNMANAGED' && c.organisation_id === null && c.last_admin_of === null],
    [8, c.home_region === region],
    // Not numbered there: whom an address belongs to, and who is a person with a working login.
    [9, c.email_verified && new RegExp(`^[a-z.]+@${c.domain_name.replaceAll('.', '\\.')}$`).test(c.email)],
    [10, c.kind === 'person' && c.deactivated_at === null && c.deleted_at === null],
    [11, c.organisation_suspended_at === null],
  ];
  return checks.filter(([, holds]) => !holds).map(([number]) => number);
}

test('a claim is made exactly where every invariant holds', () => {
  const time = fc.constantFrom(...[-9, -7.5, -7, -3, -2, -1, 0, 1].map((days) => at(days * DAY_MS)));
  const maybe = fc.option(time, { freq: 3 });
  const strange = {
    requested_at: maybe,
    token_issued_at: maybe,
    check_started_at: maybe,
    admin_since: maybe,
    admin_removed_at: maybe,
    withdrawn_at: maybe,
    organisation_suspended_at: maybe,
    deactivated_at: maybe,
    deleted_at: maybe,
    requested_by: fc.constantFrom(null, 'admin-a'),
    request_organisation_id: fc.constantFrom(null, 'org-a', 'org-b'),
    request_domain_name: fc.constantFrom(null, 'example.com', 'example.org'),
    token: fc.constantFrom(null, TOKEN, 'short'),
    domain_state: fc.constantFrom('PENDING', 'VERIFIED', 'AT_RISK', 'LAPSED', 'CONTESTED'),
    consent: fc.constantFrom('none', 'selected', 'all'),
    selected_by: fc.constantFrom(null, 'org-a', 'org-b'),
    state: fc.constantFrom('UNMANAGED', 'MANAGED', 'RELEASED', 'EXCLUDED', 'CONFLICT'),
    organisation_id: fc.constantFrom(null, 'org-a', 'org-b'),
    last_admin_of: fc.constantFrom(null, 'org-b'),
    rival_contests: fc.boolean(),
    home_region: fc.constantFrom('eu-west-1', 'us-east-1'),
    kind: fc.constantFrom('person', 'bot', 'service'),
    email_verified: fc.boolean(),
    email: fc.constantFrom(
      'ada@example.com',
      'ada@evil-example.com',
      'a@example.com@evil.com',
      'ada@a.example.com',
    ),
  };
  // A few columns at a time are strange, so that many candidates are still in order.
  const columns = fc.subarray(Object.keys(strange) as (keyof typeof strange)[], { maxLength: 4 });
  const spoilt = columns.chain(
    (picked) =>
      fc.record(
        Object.fromEntries(picked.map((column) => [column, strange[column] as fc.Arbitrary<unknown>])),
      ) as fc.Arbitrary<Partial<ClaimCandidate>>,
  );
  const seen = { claimed: 0, refused: 0 };
  fc.assert(
    fc.property(spoilt, (over) => {
      // A proof is seen as its check starts, so that the two ages are one.
      const facts = candidate(over);
      const whole = { ...facts, proof_seen_at: facts.check_started_at };
      const decision = decideClaim(whole, REGION, NOW_MS);
      seen[decision.ok ? 'claimed' : 'refused'] += 1;
      expect({ whole, claimed: decision.ok }).toEqual({
        whole,
        claimed: invariantsBrokenBy(whole, REGION, NOW_MS).length === 0,
      });
    }),
    { numRuns: 2_000 },
  );
  expect(Math.min(seen.claimed, seen.refused)).toBeGreaterThan(100);
});
