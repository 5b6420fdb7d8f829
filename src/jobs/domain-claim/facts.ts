/** Rows as the job's queries answer them: columns of `directory`, and what stands behind a request. */
import type { Value } from '../../sdk/index.js';
import type { Proof } from './proof.js';

type Text = string | null;

/** The columns of a domain that a check may set. */
export const DOMAIN_CHANGES = [
  'state',
  'verified_at',
  'proof',
  'proof_seen_at',
  'check_started_at',
  'checked_at',
  'check_count',
  'next_check_at',
  'absent_at',
  'absent_again_at',
  'at_risk_since',
] as const;

/** The columns of a domain that a check relies on. */
export const DOMAIN_COMPARES = ['name', 'organisation_id', 'home_region', 'request_id'] as const;

/** The columns of an account that a claim sets. */
export const ACCOUNT_CHANGES = ['state', 'organisation_id', 'claimed_domain_id', 'claimed_at'] as const;

/** The columns of an account that a claim relies on. */
export const ACCOUNT_COMPARES = [
  'email',
  'email_verified',
  'kind',
  'home_region',
  'selected_by',
  'deactivated_at',
  'deleted_at',
] as const;

/** A domain's request and the people behind it; all null where there is none. Columns of left joins. */
export type RequestFacts = Readonly<{
  request_organisation_id: Text;
  request_domain_name: Text;
  requested_by: Text;
  requested_at: Text;
  withdrawn_at: Text;
  token: Text;
  token_issued_at: Text;
  /** The requester as an admin of the domain's organisation. */
  admin_since: Text;
  admin_removed_at: Text;
  /** The requester's own account. */
  requester_deactivated_at: Text;
  requester_deleted_at: Text;
  organisation_suspended_at: Text;
}>;

/** A domain that is due, its request, and who else wants its name. */
export type DueDomain = RequestFacts &
  Readonly<{
    id: string;
    name: string;
    organisation_id: string;
    home_region: string;
    request_id: Text;
    state: string;
    verified_at: Text;
    proof: Proof | null;
    proof_seen_at: Text;
    check_started_at: Text;
    checked_at: Text;
    check_count: number;
    next_check_at: Text;
    absent_at: Text;
    absent_again_at: Text;
    at_risk_since: Text;
    /** Another organisation's row for this name is VERIFIED or AT_RISK. */
    rival_owns: boolean;
    /** Another organisation's row for this name is CONTESTED. */
    rival_contests: boolean;
    /** A JSON list: the tokens of other organisations' pending rows for this name whose requests stand. */
    rival_tokens: string;
  }>;

/** An account, and the domain, organisation, request and admin that would claim it. */
export type ClaimCandidate = RequestFacts &
  Readonly<{
    id: string;
    email: string;
    email_verified: boolean;
    kind: string;
    home_region: string;
    state: string;
    organisation_id: Text;
    claimed_domain_id: Text;
    claimed_at: Text;
    selected_by: Text;
    deactivated_at: Text;
    deleted_at: Text;
    domain_id: string;
    domain_name: string;
    domain_state: string;
    domain_organisation_id: string;
    domain_request_id: Text;
    verified_at: Text;
    proof: Text;
    proof_seen_at: Text;
    check_started_at: Text;
    consent: string;
    consent_at: Text;
    /** Another organisation's row for this name is CONTESTED. */
    rival_contests: boolean;
    /** Another organisation that this claim would leave without a working admin login; null for none. */
    last_admin_of: Text;
  }>;

/** The named columns of a row, exactly as they were read. */
export function imageOf<Column extends string>(
  row: Readonly<Record<Column, Value>>,
  columns: readonly Column[],
): Record<Column, Value> {
  return Object.fromEntries(columns.map((column) => [column, row[column]])) as Record<Column, Value>;
}
