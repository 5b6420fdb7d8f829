-- The directory: what the job domain-claim reads and changes. FIELD.md's words.
create schema if not exists directory;

create table directory.organisation (
  id           text primary key,
  name         text not null,
  home_region  text not null,
  suspended_at timestamptz,
  -- Consent to claim, recorded apart from any verification.
  consent      text not null default 'none' check (consent in ('none', 'selected', 'all')),
  consent_at   timestamptz
);
create index organisation_by_region on directory.organisation (home_region, id);

create table directory.account (
  id                text primary key,
  email             text not null,
  email_verified    boolean not null,
  kind              text not null default 'person' check (kind in ('person', 'bot', 'service')),
  home_region       text not null,
  state             text not null default 'UNMANAGED'
                      check (state in ('UNMANAGED', 'MANAGED', 'RELEASED', 'EXCLUDED', 'CONFLICT')),
  -- The managing organisation, set by a claim.
  organisation_id   text references directory.organisation,
  claimed_domain_id text,
  claimed_at        timestamptz,
  -- The organisation that has selected this account for claiming, where its consent is 'selected'.
  selected_by       text references directory.organisation,
  deactivated_at    timestamptz,
  deleted_at        timestamptz,
  -- What stands behind the first @. Only a way to find rows: the job parses the address itself.
  email_domain      text generated always as (lower(split_part(email, '@', 2))) stored
);
create index account_by_domain on directory.account (home_region, email_domain) where state = 'UNMANAGED';
create index account_by_organisation on directory.account (organisation_id);

-- Who administers an organisation; removed_at ends it.
create table directory.admin (
  organisation_id text not null references directory.organisation,
  account_id      text not null references directory.account,
  since           timestamptz not null,
  removed_at      timestamptz,
  primary key (organisation_id, account_id)
);
create index admin_by_account on directory.admin (account_id) where removed_at is null;

-- An admin's request to verify a domain for an organisation, and the token issued for exactly that.
create table directory.request (
  id              text primary key,
  organisation_id text not null references directory.organisation,
  domain_name     text not null,
  requested_by    text references directory.account,
  requested_at    timestamptz not null,
  withdrawn_at    timestamptz,
  -- At least 32 hexadecimal digits, published as `token=<token>`. Issued once, for this request alone.
  token           text not null unique,
  token_issued_at timestamptz not null
);

create table directory.domain (
  id               text primary key,
  name             text not null,
  organisation_id  text not null references directory.organisation,
  home_region      text not null,
  state            text not null default 'PENDING' check (state in
                     ('PENDING', 'VERIFIED', 'AT_RISK', 'LAPSED', 'EXPIRED', 'REMOVED', 'CONTESTED', 'SUPERSEDED')),
  request_id       text references directory.request,
  -- The proof that was last seen: when, how, and since when the check that saw it ran.
  verified_at      timestamptz,
  proof            text check (proof in ('dns', 'https')),
  proof_seen_at    timestamptz,
  check_started_at timestamptz,
  -- The last check, whatever it said, and the next one due.
  checked_at       timestamptz,
  check_count      integer not null default 0,
  next_check_at    timestamptz,
  -- The first of the two checks that must agree on absence, and the earliest time for the second.
  absent_at        timestamptz,
  absent_again_at  timestamptz,
  at_risk_since    timestamptz,
  unique (name, organisation_id)
);
create index domain_due on directory.domain (home_region, next_check_at)
  where state in ('PENDING', 'VERIFIED', 'AT_RISK');
-- One verified owner per domain.
create unique index domain_owner on directory.domain (name) where state in ('VERIFIED', 'AT_RISK');
create index domain_contested on directory.domain (name) where state = 'CONTESTED';
