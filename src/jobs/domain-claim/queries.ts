/** What the job asks the directory. Columns are those of facts.ts; the decisions trust no `where` of these. */

/** A domain's request `r`, its requester as admin `m` and as account `q`, and the organisation `o`. */
const REQUEST_COLUMNS = `
  r.organisation_id as request_organisation_id,
  r.domain_name as request_domain_name,
  r.requested_by,
  r.requested_at,
  r.withdrawn_at,
  r.token,
  r.token_issued_at,
  m.since as admin_since,
  m.removed_at as admin_removed_at,
  q.deactivated_at as requester_deactivated_at,
  q.deleted_at as requester_deleted_at,
  o.suspended_at as organisation_suspended_at`;

const REQUEST_JOINS = `
  join directory.organisation o on o.id = d.organisation_id
  left join directory.request r on r.id = d.request_id
  left join directory.admin m on m.organisation_id = d.organisation_id and m.account_id = r.requested_by
  left join directory.account q on q.id = r.requested_by`;

/**
 * Whether a name is contested. An organisation has one row a name, so where `d` itself is not CONTESTED, the
 * row that is belongs to another. Few names are, so the list is hashed once.
 */
const IS_CONTESTED = `d.name in (select c.name from directory.domain c where c.state = 'CONTESTED')`;

/**
 * The region's domains that are due at a time, and those whose name another organisation contests, due or
 * not; rows of one name next to each other. Parameters: region, time,
 * and the time since which a token is alive.
 */
export const DUE_DOMAINS = `
select
  d.id, d.name, d.organisation_id, d.home_region, d.request_id,
  d.state, d.verified_at, d.proof, d.proof_seen_at, d.check_started_at, d.checked_at, d.check_count,
  d.next_check_at, d.absent_at, d.absent_again_at, d.at_risk_since,
  ${REQUEST_COLUMNS},
  exists (
    select from directory.domain rival
    where rival.name = d.name and rival.organisation_id <> d.organisation_id
      and rival.state in ('VERIFIED', 'AT_RISK')
  ) as rival_owns,
  ${IS_CONTESTED} as rival_contests,
  (
    select coalesce(json_agg(asked.token order by asked.id), '[]')::text
    from directory.domain rival
    join directory.request asked on asked.id = rival.request_id
    join directory.organisation theirs on theirs.id = rival.organisation_id
    join directory.admin admin
      on admin.organisation_id = rival.organisation_id and admin.account_id = asked.requested_by
    where rival.name = d.name and rival.organisation_id <> d.organisation_id and rival.state = 'PENDING'
      and asked.organisation_id = rival.organisation_id and asked.token_issued_at > $3::timestamptz
      and asked.withdrawn_at is null and theirs.suspended_at is null and admin.removed_at is null
  ) as rival_tokens
from directory.domain d
${REQUEST_JOINS}
where d.home_region = $1
  and d.state in ('PENDING', 'VERIFIED', 'AT_RISK')
  and (
    d.next_check_at is null
    or d.next_check_at <= $2::timestamptz
    or (d.state <> 'PENDING' and ${IS_CONTESTED})
  )
order by d.name, d.id`;

/**
 * The region's accounts that nobody manages, whose address may lie in a domain verified for an organisation
 * that has consented to claims; one row each. Parameter: region.
 *
 * An account is an organisation's last admin where none of its other admins has a login that works and that
 * no claim could take: managed by that organisation itself, or managed by nobody and not at a domain that is
 * verified for someone else. Two admins whom one run could both take do not count for each other. Gathered
 * once and joined: asked for each of 300,000 accounts, the query took ten times as long.
 */
export const CLAIM_CANDIDATES = `
with last_admin as materialized (
  select role.account_id, min(role.organisation_id) as least, max(role.organisation_id) as most
  from directory.admin role
  where role.removed_at is null
    and not exists (
      select
      from directory.admin colleague
      join directory.account login on login.id = colleague.account_id
      where colleague.organisation_id = role.organisation_id
        and colleague.account_id <> role.account_id
        and colleague.removed_at is null
        and login.kind = 'person' and login.email_verified
        and login.deactivated_at is null and login.deleted_at is null
        and (
          login.organisation_id = role.organisation_id
          or login.state in ('RELEASED', 'EXCLUDED')
          or (login.organisation_id is null and not exists (
            select from directory.domain taker
            where taker.name = login.email_domain and taker.state = 'VERIFIED'
              and taker.organisation_id <> role.organisation_id
          ))
        )
    )
  group by role.account_id
)
select
  a.id, a.email, a.email_verified, a.kind, a.home_region, a.state, a.organisation_id, a.claimed_domain_id,
  a.claimed_at, a.selected_by, a.deactivated_at, a.deleted_at,
  d.id as domain_id, d.name as domain_name, d.state as domain_state,
  d.organisation_id as domain_organisation_id, d.request_id as domain_request_id,
  d.verified_at, d.proof, d.proof_seen_at, d.check_started_at,
  o.consent, o.consent_at,
  ${REQUEST_COLUMNS},
  ${IS_CONTESTED} as rival_contests,
  coalesce(nullif(l.least, d.organisation_id), nullif(l.most, d.organisation_id)) as last_admin_of
from directory.domain d
${REQUEST_JOINS}
join directory.account a on a.home_region = $1 and a.email_domain = d.name and a.state = 'UNMANAGED'
left join last_admin l on l.account_id = a.id
where d.state = 'VERIFIED' and o.consent <> 'none'`;
