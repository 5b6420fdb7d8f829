import type pg from 'pg';
import { inTransaction } from '../../postgres/pool.js';
import { SAMPLE_REGIONS } from '../sample-rows.js';
import { SCHEMA } from './schema.js';

export interface WorldSize {
  readonly accounts: number;
  /** How many regions, 1 to {@link MOST_REGIONS}. */
  readonly regions: number;
  /** The same seed makes the same world, apart from when it is. */
  readonly seed: number;
}

export const FEWEST_ACCOUNTS = 2_000;
export const MOST_ACCOUNTS = 2_000_000;
export const MOST_REGIONS = SAMPLE_REGIONS.length;

export function regionsOf({ regions }: WorldSize): readonly string[] {
  return SAMPLE_REGIONS.slice(0, regions);
}

const ACCOUNTS_PER_ORGANISATION = 20;
/** Brands, and companies bought: domains that are known of each organisation, and that nobody asked for. */
const OTHER_DOMAINS = 12;

/** As many in each region. */
export function organisationsOf({ accounts, regions }: WorldSize): number {
  return Math.ceil(accounts / ACCOUNTS_PER_ORGANISATION / regions) * regions;
}

/**
 * Fills an empty, migrated database with the world before the incident: settled, every account that an
 * organisation asked for and consented to claimed, but for a few that the next runs will find. All of it is
 * made by the database, each value drawn from the seed and its own number, so that no order of rows matters.
 */
export async function buildWorld(owner: pg.Pool, size: WorldSize): Promise<void> {
  const all = [size.seed, organisationsOf(size), regionsOf(size)];
  await inTransaction(owner, async (client) => {
    await client.query(SCHEMA);
    await client.query(ORGANISATIONS, all);
    await client.query(PLACES, [OTHER_DOMAINS]);
    await client.query(DIRECTORY_ORGANISATIONS, [size.seed]);
    await client.query(ADMIN_ACCOUNTS);
    await client.query(ADMINS);
    await client.query(ACCOUNTS, [...all, size.accounts - organisationsOf(size)]);
    await client.query(PEOPLE);
    await client.query(PRODUCT_USE, [size.seed]);
    await client.query(REQUESTS, [size.seed]);
    await client.query(DOMAINS, [size.seed]);
  });
  await owner.query(`vacuum analyze`);
}

/** Keeps what the latest nightly snapshot has: the tables that the job writes. */
export async function takeNightlySnapshot(owner: pg.Pool): Promise<void> {
  await owner.query(`
    create table replay.nightly_account as select * from directory.account;
    create table replay.nightly_domain as select * from directory.domain;
    create unique index on replay.nightly_account (id);
    create unique index on replay.nightly_domain (id)`);
}

/**
 * Marks the moment before the incident: from here on, what the job's tables should be is kept beside them,
 * with what users do and without what the job does.
 */
export async function expectFromNow(owner: pg.Pool): Promise<void> {
  for (const table of ['account', 'domain', 'request', 'organisation']) {
    await owner.query(`
      create table replay.expected_${table} as select * from directory.${table};
      create unique index on replay.expected_${table} (id)`);
  }
  await owner.query('vacuum analyze');
}

/**
 * Of a hundred organisations 57 are established: they asked for their domain and proved it. 3 are new,
 * who will ask in the hours before the incident. 40 are bystanders: their domain is known and nobody asked.
 */
// The seed is in the ids too: flags bucket by them, so that another seed begins with other organisations.
const ORGANISATIONS = `
insert into replay.organisation (number, id, region, kind, sso_enforced)
select n, 'org-' || $1::bigint || '-' || lpad(n::text, 6, '0'), ($3::text[])[n % cardinality($3::text[]) + 1],
  case when drawn < 0.57 then 'established' when drawn < 0.6 then 'newcomer' else 'bystander' end,
  replay.draw($1, 'sso', n) < 0.8
from generate_series(0, $2::integer - 1) n
cross join lateral (select replay.draw($1, 'kind', n) as drawn) d`;

/** Everybody has a domain of their own, and others that are known and that nobody asked for. */
const PLACES = `
insert into replay.place (organisation, at, domain_id, name, asked)
select number, 0, 'domain-' || lpad(number::text, 6, '0') || '-0',
  'company-' || number || case when kind = 'bystander' then '.org' else '.com' end, kind = 'established'
from replay.organisation
union all
select number, at, 'domain-' || lpad(number::text, 6, '0') || '-' || at, 'company-' || number || '-brand-' || at || '.com', false
from replay.organisation, generate_series(1, $1::integer) at`;

/** Consent is given apart from any request, as with the contract. */
const DIRECTORY_ORGANISATIONS = `
insert into directory.organisation (id, name, home_region, consent, consent_at)
select id, 'Organisation ' || number, region, consent,
  case when consent <> 'none' then now() - interval '800 days' end
from replay.organisation
cross join lateral (select replay.draw($1, 'consent', number) as drawn) d
cross join lateral (select case
  when kind = 'newcomer' then 'all'
  when kind = 'bystander' then case when drawn < 0.85 then 'all' else 'none' end
  when drawn < 0.8 then 'all' when drawn < 0.95 then 'selected' else 'none' end as consent) c`;

/** Each organisation's admin, with a login at its first domain. */
const ADMIN_ACCOUNTS = `
insert into directory.account
  (id, email, email_verified, home_region, state, organisation_id, claimed_domain_id, claimed_at, selected_by)
select 'admin-' || lpad(number::text, 6, '0'), 'admin@' || p.name, true, o.region,
  case when managed then 'MANAGED' else 'UNMANAGED' end,
  case when managed then o.id end,
  case when managed then domain_id end,
  case when managed then now() - interval '30 days' end,
  case when d.consent = 'selected' then o.id end
from replay.organisation o
join replay.place p on p.organisation = o.number and p.at = 0
join directory.organisation d on d.id = o.id
cross join lateral (select kind = 'established' and d.consent <> 'none' as managed) m`;

const ADMINS = `
insert into directory.admin (organisation_id, account_id, since)
select id, 'admin-' || lpad(number::text, 6, '0'), now() - interval '800 days' from replay.organisation`;

/**
 * `offset 0`: each value is drawn once, and not wherever it is used.
 *
 * A quarter are at mail providers; the others at their organisation's domains, of which a few are large and most
 * are small. Where an organisation asked and consented, all but one in 200 are claimed by now.
 */
const ACCOUNTS = `
insert into directory.account
  (id, email, email_verified, kind, home_region, state, organisation_id, claimed_domain_id, claimed_at,
   selected_by, deactivated_at)
select 'account-' || lpad(i::text, 7, '0'), 'person-' || i || '@' || coalesce(p.name, 'gmail.com'), f.email_verified,
  f.kind, ($3::text[])[i % cardinality($3::text[]) + 1],
  case when managed then 'MANAGED' else 'UNMANAGED' end,
  case when managed then o.id end,
  case when managed then p.domain_id end,
  case when managed then now() - (1 + 300 * f.age) * interval '1 day' end,
  case when d.consent = 'selected' and f.selected then o.id end,
  case when f.deactivated then now() - (1 + 300 * f.age) * interval '1 day' end
from generate_series(1, $4::integer) i
cross join lateral (select
  replay.draw($1, 'provider', i) < 0.25 as at_provider,
  replay.draw($1, 'place', i) < 0.08 as at_brand,
  replay.member($1, i, $2, cardinality($3::text[])) as organisation,
  replay.draw($1, 'verified', i) < 0.97 as email_verified,
  case when replay.draw($1, 'account', i) < 0.97 then 'person' else 'bot' end as kind,
  replay.draw($1, 'deactivated', i) < 0.03 as deactivated,
  replay.draw($1, 'selected', i) < 0.5 as selected,
  replay.draw($1, 'fresh', i) < 0.005 as fresh,
  replay.draw($1, 'age', i) as age
  offset 0) f
left join replay.organisation o on o.number = f.organisation and not f.at_provider
left join directory.organisation d on d.id = o.id
left join replay.place q on q.organisation = o.number and o.kind = 'established' and q.at = 1 and f.at_brand
left join replay.place p on p.organisation = o.number and p.at = coalesce(q.at, 0)
cross join lateral (select coalesce(
  p.asked and f.email_verified and f.kind = 'person' and not f.fresh and not f.deactivated
  and (d.consent = 'all' or d.consent = 'selected' and f.selected), false) as managed) m`;

/** Where an organisation asked for a domain, its identity provider knows who is there. */
const PEOPLE = `
insert into replay.person (account_id, identity_of)
select a.id, o.id
from directory.account a
left join replay.place p on p.name = a.email_domain
left join replay.organisation o on o.number = p.organisation and p.at = 0 and o.kind <> 'bystander'`;

const PRODUCT_USE = `
insert into directory.product_use (account_id, product)
select id, unnest(replay.products($1, id)) from directory.account`;

const REQUESTS = `
insert into directory.request
  (id, organisation_id, domain_name, requested_by, requested_at, token, token_issued_at)
select 'request-' || lpad(number::text, 6, '0'), o.id, p.name, 'admin-' || lpad(number::text, 6, '0'), r.at,
  replay.token($1, p.name), r.at + interval '1 second'
from replay.organisation o
join replay.place p on p.organisation = o.number and p.asked
cross join lateral (select now() - (60 + 600 * replay.draw($1, 'requested', number)) * interval '1 day' as at) r`;

/**
 * Domains that nobody asked for were all looked at in the night, and come due again after the replay's hours: what
 * comes due in it is said slot by slot (see life.ts), and hangs on nothing that a computer takes its time over.
 */
const DOMAINS = `
insert into directory.domain
  (id, name, organisation_id, home_region, state, request_id, verified_at, proof, proof_seen_at,
   check_started_at, checked_at, check_count, next_check_at)
select p.domain_id, p.name, o.id, o.region,
  case when p.asked then 'VERIFIED' else 'PENDING' end,
  r.id, r.requested_at + interval '1 day',
  case when p.asked then 'dns' end,
  case when p.asked then seen end,
  case when p.asked then seen - interval '200 milliseconds' end,
  case when p.asked then seen end,
  case when p.asked then 90 else 8 end,
  case when p.asked then seen + interval '1 day' else now() + (8 + age * 4) * interval '1 hour' end
from replay.place p
join replay.organisation o on o.number = p.organisation
left join directory.request r on r.domain_name = p.name
cross join lateral (select replay.draw($1, 'seen', p.organisation * 100 + p.at) as age) d
cross join lateral (select now() - (0.1 + age * 20) * interval '1 hour' as seen) s`;
