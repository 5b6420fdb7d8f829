import { PRODUCTS } from '../products.js';

/** Of each product, whether an account uses it: by a byte of its own of the account's hash. */
const DRAWN = PRODUCTS.map(
  (product, at) => `case when hashtextextended(account, seed) >> ${8 * at} & 255 < 102 then '${product}' end`,
);

/**
 * The world around the directory, in a schema of its own that the job cannot see: who is behind the rows, and
 * who of them is locked out.
 */
export const SCHEMA = `
create schema replay;

-- A number from 0 up to 1, drawn by what it is for: the same whenever and in whatever order it is asked for.
create function replay.draw(seed bigint, what text, n bigint) returns float8
  language sql immutable parallel safe
  return (hashint8extended(n, hashtextextended(what, seed)) & 4503599627370495) / 4503599627370496::float8;

-- The organisation of account n, in the account's own region: a few have many members, and most have few.
create function replay.member(seed bigint, n bigint, organisations integer, regions integer) returns integer
  language sql immutable parallel safe
  return floor(organisations / regions * replay.draw(seed, 'organisation', n) ^ 1.5)::integer * regions + (n % regions)::integer;

-- What is published at a domain once its organisation has asked.
create function replay.token(seed bigint, name text) returns text
  language sql immutable parallel safe
  return md5(seed::text || ':' || name);

-- The products that an account uses: each by two in five, and Jira where it would be none.
create function replay.products(seed bigint, account text) returns text[]
  language sql immutable parallel safe
  return coalesce(nullif(array_remove(array[
    ${DRAWN.join(`,\n    `)}
  ], null), '{}'), '{Jira}');

create table replay.organisation (
  number       integer primary key,
  id           text not null unique,
  region       text not null,
  kind         text not null check (kind in ('established', 'newcomer', 'bystander')),
  -- Whether who is managed by it can log in only through its identity provider.
  sso_enforced boolean not null
);

-- The domains, and whether somebody with the right to has asked for them.
create table replay.place (
  organisation integer not null references replay.organisation,
  at           integer not null,
  domain_id    text not null unique,
  name         text not null unique,
  asked        boolean not null,
  primary key (organisation, at)
);

create table replay.person (
  account_id  text primary key,
  -- The organisation whose identity provider knows this person.
  identity_of text
);

-- What users did by themselves since the nightly snapshot.
create table replay.edit (
  minute     integer not null,
  number     integer not null,
  account_id text not null,
  kind       text not null check (kind in ('email', 'deactivate', 'release')),
  value      text not null,
  primary key (minute, number)
);
create index edit_by_account on replay.edit (account_id);

-- Accounts under an organisation that never asked for the domain that they were claimed by.
create view replay.wrong_claim as
select a.id as account_id, a.home_region as region, a.organisation_id
from directory.account a
join replay.place p on p.domain_id = a.claimed_domain_id and not p.asked
where a.state = 'MANAGED';

create view replay.wrong_verification as
select d.id as domain_id, d.home_region as region, d.organisation_id
from directory.domain d
join replay.place p on p.domain_id = d.id and not p.asked
where d.state in ('VERIFIED', 'AT_RISK');

-- Who cannot log in: managed by an organisation that enforces single sign-on and does not know them.
create view replay.locked_out as
select a.id as account_id, a.home_region as region, a.organisation_id
from directory.account a
join replay.organisation o on o.id = a.organisation_id and o.sso_enforced
join replay.person p on p.account_id = a.id and p.identity_of is distinct from o.id
where a.state = 'MANAGED' and a.deactivated_at is null and a.deleted_at is null;
`;
