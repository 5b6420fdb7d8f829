/** Rows in which everything is in order; each test spoils what it is about. */
import type { Check } from '../../../src/jobs/domain-claim/decide-domain.js';
import type { ClaimCandidate, DueDomain, RequestFacts } from '../../../src/jobs/domain-claim/facts.js';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

export const NOW_MS = Date.parse('2026-03-10T12:00:00Z');
export const TOKEN = 'c0ffee00c0ffee00c0ffee00c0ffee00';
export const OTHER_TOKEN = 'deadbeefdeadbeefdeadbeefdeadbeef';

/** A time relative to now, as PostgreSQL writes it. */
export function at(offsetMs: number): string {
  return new Date(NOW_MS + offsetMs).toISOString().replace('T', ' ').replace('Z', '000+00');
}

export const request: RequestFacts = {
  request_organisation_id: 'org-a',
  request_domain_name: 'example.com',
  requested_by: 'admin-a',
  requested_at: at(-2 * DAY_MS),
  withdrawn_at: null,
  token: TOKEN,
  token_issued_at: at(-2 * DAY_MS + MINUTE_MS),
  admin_since: at(-400 * DAY_MS),
  admin_removed_at: null,
  requester_deactivated_at: null,
  requester_deleted_at: null,
  organisation_suspended_at: null,
};

export function dueDomain(over: Partial<DueDomain> = {}): DueDomain {
  return {
    ...request,
    id: 'domain-1',
    name: 'example.com',
    organisation_id: 'org-a',
    home_region: 'eu-west-1',
    request_id: 'request-1',
    state: 'PENDING',
    verified_at: null,
    proof: null,
    proof_seen_at: null,
    check_started_at: null,
    checked_at: null,
    check_count: 0,
    next_check_at: at(-MINUTE_MS),
    absent_at: null,
    absent_again_at: null,
    at_risk_since: null,
    rival_owns: false,
    rival_contests: false,
    rival_tokens: '[]',
    ...over,
  };
}

export function verifiedDomain(over: Partial<DueDomain> = {}): DueDomain {
  return dueDomain({
    state: 'VERIFIED',
    verified_at: at(-DAY_MS),
    proof: 'dns',
    proof_seen_at: at(-DAY_MS),
    check_started_at: at(-DAY_MS - 1_000),
    checked_at: at(-DAY_MS),
    check_count: 3,
    ...over,
  });
}

export function atRiskDomain(over: Partial<DueDomain> = {}): DueDomain {
  return verifiedDomain({
    state: 'AT_RISK',
    absent_at: at(-2 * DAY_MS),
    absent_again_at: at(-2 * DAY_MS + HOUR_MS),
    at_risk_since: at(-DAY_MS),
    ...over,
  });
}

export function check(verdict: Check['verdict'], over: Partial<Check> = {}): Check {
  return {
    verdict,
    proof: verdict === 'PRESENT' ? 'dns' : null,
    startedMs: NOW_MS,
    finishedMs: NOW_MS + 40,
    negativeTtlSeconds: 300,
    rivalPresent: false,
    ownedElsewhereMs: null,
    ...over,
  };
}

export function candidate(over: Partial<ClaimCandidate> = {}): ClaimCandidate {
  return {
    ...request,
    id: 'account-1',
    email: 'ada@example.com',
    email_verified: true,
    kind: 'person',
    home_region: 'eu-west-1',
    state: 'UNMANAGED',
    organisation_id: null,
    claimed_domain_id: null,
    claimed_at: null,
    selected_by: null,
    deactivated_at: null,
    deleted_at: null,
    domain_id: 'domain-1',
    domain_name: 'example.com',
    domain_state: 'VERIFIED',
    domain_organisation_id: 'org-a',
    domain_request_id: 'request-1',
    verified_at: at(-DAY_MS),
    proof: 'dns',
    proof_seen_at: at(-DAY_MS + 40),
    check_started_at: at(-DAY_MS),
    consent: 'all',
    consent_at: at(-30 * DAY_MS),
    rival_contests: false,
    last_admin_of: null,
    ...over,
  };
}
