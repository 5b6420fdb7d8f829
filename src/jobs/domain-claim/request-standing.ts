import { parseDomainName } from './domain-name.js';
import type { RequestFacts } from './facts.js';
import { instantMs } from './instant.js';
import { isToken } from './proof.js';

/** Why a token cannot be looked for: it was not issued for exactly this organisation, domain and request. */
export type TokenFault =
  | 'no-request'
  | 'request-of-another-organisation'
  | 'request-for-another-domain'
  | 'token-malformed'
  | 'token-before-request';

/** Why nothing new may rest on a request: nobody with the right to stands behind it now. */
export type StandingFault =
  | TokenFault
  | 'no-requester'
  | 'requester-not-admin'
  | 'requester-became-admin-later'
  | 'admin-removed'
  | 'requester-gone'
  | 'request-withdrawn'
  | 'organisation-suspended';

interface Owner {
  readonly name: string;
  readonly organisationId: string;
}

/** What is wrong with the token of a domain's request, or undefined where it may be looked for. */
export function tokenFault(request: RequestFacts, domain: Owner): TokenFault | undefined {
  if (request.token === null || request.request_domain_name === null) return 'no-request';
  if (request.request_organisation_id !== domain.organisationId) return 'request-of-another-organisation';
  // A domain's own name is canonical where this holds.
  const requested = parseDomainName(request.request_domain_name);
  if (!requested.ok || requested.name !== domain.name) return 'request-for-another-domain';
  if (!isToken(request.token)) return 'token-malformed';
  if (!(instantMs(request.requested_at) < instantMs(request.token_issued_at))) return 'token-before-request';
  return undefined;
}

/** What is wrong with a domain's request, or undefined where a verification or a claim may rest on it. */
export function standingFault(request: RequestFacts, domain: Owner): StandingFault | undefined {
  const fault = tokenFault(request, domain);
  if (fault !== undefined) return fault;
  if (request.requested_by === null) return 'no-requester';
  if (request.admin_since === null) return 'requester-not-admin';
  if (request.admin_removed_at !== null) return 'admin-removed';
  if (!(instantMs(request.admin_since) <= instantMs(request.requested_at))) {
    return 'requester-became-admin-later';
  }
  if (request.requester_deactivated_at !== null || request.requester_deleted_at !== null) {
    return 'requester-gone';
  }
  if (request.withdrawn_at !== null) return 'request-withdrawn';
  if (request.organisation_suspended_at !== null) return 'organisation-suspended';
  return undefined;
}
