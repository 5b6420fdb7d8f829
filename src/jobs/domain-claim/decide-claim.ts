import type { Columns } from '../../sdk/index.js';
import { EVIDENCE_LIFE_MS } from './check-schedule.js';
import { parseEmailAddress } from './email-address.js';
import { ACCOUNT_CHANGES, ACCOUNT_COMPARES, imageOf, type ClaimCandidate } from './facts.js';
import { instantMs } from './instant.js';
import { standingFault, type StandingFault } from './request-standing.js';

export type ClaimRefusal =
  | StandingFault
  | 'another-region'
  | 'not-claimable-state'
  | 'managed-already'
  | 'not-a-person'
  | 'deactivated'
  | 'deleted'
  | 'email-not-verified'
  | 'email-malformed'
  | 'email-of-another-domain'
  | 'no-consent'
  | 'not-selected'
  | 'consent-later'
  | 'domain-not-verified'
  | 'domain-contested'
  | 'no-proof'
  | 'token-after-check'
  | 'check-in-the-future'
  | 'evidence-too-old'
  | 'last-admin-of-another-organisation';

type Changes = (typeof ACCOUNT_CHANGES)[number];
type Compares = (typeof ACCOUNT_COMPARES)[number];

export type ClaimDecision =
  | {
      readonly ok: true;
      readonly before: Columns<Changes | Compares>;
      readonly after: Columns<Changes>;
    }
  | { readonly ok: false; readonly reason: ClaimRefusal };

/** What must hold for a claim, in the order in which it is asked, and the reason where it does not. */
type Rule = readonly [ClaimRefusal, (facts: ClaimCandidate, region: string, nowMs: number) => boolean];

const RULES: readonly Rule[] = [
  ['another-region', (it, region) => it.home_region === region],
  ['not-claimable-state', (it) => stateAfterClaim(it.state) !== undefined],
  ['managed-already', (it) => it.organisation_id === null && it.claimed_domain_id === null],
  ['not-a-person', (it) => it.kind === 'person'],
  ['deleted', (it) => it.deleted_at === null],
  ['deactivated', (it) => it.deactivated_at === null],
  ['email-not-verified', (it) => it.email_verified],
  ['email-malformed', (it) => parseEmailAddress(it.email).ok],
  // The very name: a subdomain may belong to somebody else.
  ['email-of-another-domain', (it) => domainOf(it.email) === it.domain_name],

  ['no-consent', (it) => it.consent === 'all' || it.consent === 'selected'],
  ['consent-later', (it, _, nowMs) => it.consent_at === null || instantMs(it.consent_at) <= nowMs],
  ['not-selected', (it) => it.consent === 'all' || it.selected_by === it.domain_organisation_id],

  ['domain-not-verified', (it) => it.domain_state === 'VERIFIED' && it.verified_at !== null],
  ['domain-contested', (it) => !it.rival_contests],
  ['no-proof', (it) => it.proof !== null && instantMs(it.check_started_at) <= instantMs(it.proof_seen_at)],
  ['token-after-check', (it) => instantMs(it.token_issued_at) < instantMs(it.check_started_at)],
  ['check-in-the-future', (it, _, nowMs) => instantMs(it.proof_seen_at) <= nowMs],
  // Aged from the check's start, the earlier of its times.
  ['evidence-too-old', (it, _, nowMs) => nowMs - instantMs(it.check_started_at) <= EVIDENCE_LIFE_MS],

  ['last-admin-of-another-organisation', (it) => it.last_admin_of === null],
];

/**
 * Whether an account may be claimed for the organisation of a domain, at a time in milliseconds since 1970,
 * by the region that plans. Answers the account's images, or the first reason against it.
 */
export function decideClaim(candidate: ClaimCandidate, region: string, nowMs: number): ClaimDecision {
  const owner = { name: candidate.domain_name, organisationId: candidate.domain_organisation_id };
  const fault = standingFault(candidate, owner);
  if (fault !== undefined) return { ok: false, reason: fault };
  const broken = RULES.find(([, holds]) => !holds(candidate, region, nowMs));
  if (broken !== undefined) return { ok: false, reason: broken[0] };
  return {
    ok: true,
    before: imageOf(candidate, [...ACCOUNT_CHANGES, ...ACCOUNT_COMPARES]),
    after: {
      state: stateAfterClaim(candidate.state) ?? candidate.state,
      organisation_id: candidate.domain_organisation_id,
      claimed_domain_id: candidate.domain_id,
      claimed_at: new Date(nowMs).toISOString(),
    },
  };
}

function domainOf(email: string): string | undefined {
  const address = parseEmailAddress(email);
  return address.ok ? address.domain : undefined;
}

/**
 * An account's states and who may move it. The job makes one move, `claim`; the others are a person's.
 *
 * | from      | move    | to        | by     |                                                       |
 * | --------- | ------- | --------- | ------ | ----------------------------------------------------- |
 * | UNMANAGED | claim   | MANAGED   | job    | the organisation of a verified domain manages it      |
 * | UNMANAGED | exclude | EXCLUDED  | person | never to be claimed                                   |
 * | UNMANAGED | dispute | CONFLICT  | person | two sides want it; a person decides                   |
 * | MANAGED   | release | RELEASED  | person | given back to its user: final, no claim ever again    |
 * | MANAGED   | dispute | CONFLICT  | person |                                                       |
 * | EXCLUDED  | include | UNMANAGED | person |                                                       |
 * | CONFLICT  | settle  | UNMANAGED, MANAGED or EXCLUDED | person |                                   |
 */
export type AccountState = 'UNMANAGED' | 'MANAGED' | 'RELEASED' | 'EXCLUDED' | 'CONFLICT';

/** The job's own rows of the table: where its move leads from each state, or nowhere. */
export const CLAIM_LEADS_TO: Readonly<Record<AccountState, AccountState | undefined>> = {
  UNMANAGED: 'MANAGED',
  MANAGED: undefined,
  RELEASED: undefined,
  EXCLUDED: undefined,
  CONFLICT: undefined,
};

/** The state that a claim leads to, or undefined where an account in this state cannot be claimed. */
export function stateAfterClaim(state: string): AccountState | undefined {
  return Object.hasOwn(CLAIM_LEADS_TO, state) ? CLAIM_LEADS_TO[state as AccountState] : undefined;
}
