/** Rows of the schema `directory`, by their columns' names; times are ISO strings. */
type Time = string | null;

export interface OrganisationRow {
  readonly id: string;
  readonly name: string;
  readonly home_region: string;
  readonly suspended_at: Time;
  readonly consent: 'none' | 'selected' | 'all';
  readonly consent_at: Time;
}

export interface AccountRow {
  readonly id: string;
  readonly email: string;
  readonly email_verified: boolean;
  readonly kind: 'person' | 'bot' | 'service';
  readonly home_region: string;
  readonly state: 'UNMANAGED' | 'MANAGED' | 'RELEASED' | 'EXCLUDED' | 'CONFLICT';
  readonly organisation_id: string | null;
  readonly claimed_domain_id: string | null;
  readonly claimed_at: Time;
  readonly selected_by: string | null;
  readonly deactivated_at: Time;
  readonly deleted_at: Time;
}

export interface AdminRow {
  readonly organisation_id: string;
  readonly account_id: string;
  readonly since: string;
  readonly removed_at: Time;
}

export interface ProductUseRow {
  readonly account_id: string;
  readonly product: string;
}

export interface RequestRow {
  readonly id: string;
  readonly organisation_id: string;
  readonly domain_name: string;
  readonly requested_by: string | null;
  readonly requested_at: string;
  readonly withdrawn_at: Time;
  readonly token: string;
  readonly token_issued_at: string;
}

export interface DomainRow {
  readonly id: string;
  readonly name: string;
  readonly organisation_id: string;
  readonly home_region: string;
  readonly state: string;
  readonly request_id: string | null;
  readonly verified_at: Time;
  readonly proof: 'dns' | 'https' | null;
  readonly proof_seen_at: Time;
  readonly check_started_at: Time;
  readonly checked_at: Time;
  readonly check_count: number;
  readonly next_check_at: Time;
  readonly absent_at: Time;
  readonly absent_again_at: Time;
  readonly at_risk_since: Time;
}

/** In the order in which they can be inserted. */
export interface SampleDirectory {
  readonly organisation: readonly OrganisationRow[];
  readonly account: readonly AccountRow[];
  readonly admin: readonly AdminRow[];
  readonly product_use: readonly ProductUseRow[];
  readonly request: readonly RequestRow[];
  readonly domain: readonly DomainRow[];
}

/** Where the sample world lives, and how large it is. */
export const SAMPLE_REGIONS = [
  'eu-west-1',
  'eu-central-1',
  'us-east-1',
  'us-west-2',
  'ap-southeast-2',
  'ap-northeast-1',
] as const;
export const SAMPLE_ORGANISATIONS = 300;
export const SAMPLE_ACCOUNTS = 20_000;

/** What every organisation's id begins with, and by which a sample world is told from a company's directory. */
export const SAMPLE_PREFIX = 'sample-';

/** The n-th id of a kind, from 0: `sample-org-001`. */
export function sampleId(kind: string, index: number, digits: number): string {
  return `${SAMPLE_PREFIX}${kind}-${String(index + 1).padStart(digits, '0')}`;
}

/** Times by how long before now they are. */
export class Ago {
  readonly #nowMs: number;

  constructor(now: Date) {
    this.#nowMs = now.getTime();
  }

  /** So many milliseconds before now. */
  at(ms: number): string {
    return new Date(this.#nowMs - Math.round(ms)).toISOString();
  }

  days(days: number): string {
    return this.at(days * 86_400_000);
  }

  /** As `at`, or null for a time that never was. */
  maybe(ms: number | undefined): string | null {
    return ms === undefined ? null : this.at(ms);
  }
}
