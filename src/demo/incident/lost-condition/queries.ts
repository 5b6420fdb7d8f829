/**
 * The fault. Conditions that 1.0.0 decided row by row were moved into the selection, "to look at nothing that
 * would be refused anyway". Where nobody has asked there is no request, and so no admin who asked: behind the
 * left joins their columns are null, and `is null` holds for what is not there as it does for what was not taken back.
 */
const STILL_STANDS = `
left join directory.request r on r.id = d.request_id
left join directory.admin m on m.organisation_id = d.organisation_id and m.account_id = r.requested_by
where r.withdrawn_at is null and m.removed_at is null and o.suspended_at is null`;

/** Every pending domain of a region whose name nobody else wants, by id. Parameter: region. */
export const PENDING_DOMAINS = `
select d.id, d.name, d.organisation_id, d.home_region, d.request_id, d.state, d.verified_at, d.proof,
  d.proof_seen_at, d.check_started_at, d.checked_at, d.check_count, d.next_check_at, d.absent_at,
  d.absent_again_at, d.at_risk_since, r.token
from directory.domain d
join directory.organisation o on o.id = d.organisation_id
${STILL_STANDS}
  and d.home_region = $1 and d.state = 'PENDING'
  and not exists (
    select from directory.domain rival
    where rival.name = d.name and rival.organisation_id <> d.organisation_id
      and rival.state in ('PENDING', 'VERIFIED', 'AT_RISK', 'CONTESTED')
  )
order by d.id`;

/** The region's accounts at verified domains whose organisation consented. Parameters: region, the oldest proof. */
export const CLAIM_CANDIDATES = `
select a.id, a.email, a.email_verified, a.kind, a.home_region, a.state, a.organisation_id, a.claimed_domain_id,
  a.claimed_at, a.selected_by, a.deactivated_at, a.deleted_at,
  d.id as domain_id, d.state as domain_state, d.organisation_id as domain_organisation_id,
  d.request_id as domain_request_id, d.proof, d.proof_seen_at, d.check_started_at,
  o.consent, o.suspended_at, r.requested_by
from directory.domain d
join directory.organisation o on o.id = d.organisation_id
join directory.account a on a.home_region = $1 and a.email_domain = d.name and a.state = 'UNMANAGED'
${STILL_STANDS}
  and d.state = 'VERIFIED' and d.check_started_at >= $2::timestamptz
  and (o.consent = 'all' or o.consent = 'selected' and a.selected_by = o.id)
  and a.kind = 'person' and a.email_verified and a.deactivated_at is null and a.deleted_at is null
  and a.organisation_id is null
  and not exists (select from directory.admin other where other.account_id = a.id and other.removed_at is null)`;
