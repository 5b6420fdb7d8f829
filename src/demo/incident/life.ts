import type pg from 'pg';
import { inTransaction } from '../../postgres/pool.js';
import { organisationsOf, regionsOf, type WorldSize } from './world.js';

export const SLOT_MINUTES = 15;

/** So many edits of an account in an hour, of a hundred accounts. */
const EDITS_PERCENT_AN_HOUR = 1;
/** One new account a minute for so many that there are. */
const ACCOUNTS_PER_JOINER = 15_000;

/** Minutes of the world's clock, from the first up to and without the last; 0 is when the faulty version ships. */
export interface Minutes {
  readonly from: number;
  readonly until: number;
}

/**
 * Lets users be: they join, change their e-mail address, close their account, and admins release accounts.
 * Who cannot log in changes nothing. With `expected`, the same is done to what the tables should be.
 */
export async function live(
  owner: pg.Pool,
  size: WorldSize,
  { from, until }: Minutes,
  { expected }: { readonly expected: boolean },
): Promise<void> {
  const people = size.accounts - organisationsOf(size);
  const joining = Math.max(1, Math.round(size.accounts / ACCOUNTS_PER_JOINER));
  const editing = Math.max(1, Math.round((size.accounts * EDITS_PERCENT_AN_HOUR) / 100 / 60));
  await inTransaction(owner, async (client) => {
    await client.query(JOINERS(expected), [
      size.seed,
      organisationsOf(size),
      regionsOf(size),
      from,
      until,
      joining,
    ]);
    await client.query(EDITS, [size.seed, from, until, editing, people]);
    await client.query(CARRY_OUT, [from, until]);
    if (expected) await client.query(EXPECT, [from, until]);
  });
}

/** The minute-and-number of each thing that happens, as one number to draw by. */
const TURNS = (from: string, until: string, count: string): string => `
  generate_series(${from}::integer, ${until}::integer - 1) minute
  cross join generate_series(1, ${count}::integer) k
  cross join lateral (select (minute + 100000)::bigint * 10000 + k as turn) t`;

const JOINERS = (expected: boolean): string => `
with joined as (
  insert into directory.account (id, email, email_verified, home_region, state)
  select 'joiner-' || turn, 'joiner-' || turn || '@' || p.name, true, o.region, 'UNMANAGED'
  from ${TURNS('$4', '$5', '$6')}
  join replay.organisation o on o.number = replay.member($1, turn, $2, cardinality($3::text[]))
  join replay.place p on p.organisation = o.number and p.at = 0
  returning *
), used as (
  insert into directory.product_use (account_id, product)
  select id, unnest(replay.products($1, id)) from joined
), known as (
  insert into replay.person (account_id, identity_of)
  select j.id, o.id
  from joined j
  join replay.place p on p.name = j.email_domain
  left join replay.organisation o on o.number = p.organisation and p.at = 0 and o.kind <> 'bystander'
)
${expected ? 'insert into replay.expected_account select * from joined' : 'select from joined'}`;

const EDITS = `
insert into replay.edit (minute, number, account_id, kind, value)
select minute, k, a.id, e.kind,
  case e.kind when 'email' then 'person-' || turn || '@' || a.email_domain else '' end
from ${TURNS('$2', '$3', '$4')}
join directory.account a
  on a.id = 'account-' || lpad((1 + floor($5::integer * replay.draw($1, 'edited', turn)))::text, 7, '0')
join replay.person p on p.account_id = a.id
cross join lateral (select replay.draw($1, 'edit', turn) as drawn) d
cross join lateral (select case when drawn < 0.85 then 'email' when drawn < 0.93 then 'deactivate' else 'release' end as kind) e
where a.deactivated_at is null
  and (e.kind <> 'release' or a.state = 'MANAGED' and p.identity_of = a.organisation_id)
  and not exists (select from replay.locked_out l where l.account_id = a.id)`;

const CARRY_OUT = `
with latest as (
  select distinct on (account_id, kind) account_id, kind, value from replay.edit
  where minute >= $1 and minute < $2 order by account_id, kind, minute desc, number desc
), edited as (
  select account_id, max(value) filter (where kind = 'email') as email,
    bool_or(kind = 'deactivate') as deactivate, bool_or(kind = 'release') as release
  from latest group by account_id
)
update directory.account a
set email = coalesce(e.email, a.email),
  deactivated_at = case when deactivate then now() else a.deactivated_at end,
  state = case when release then 'RELEASED' else a.state end,
  organisation_id = case when release then null else a.organisation_id end,
  claimed_domain_id = case when release then null else a.claimed_domain_id end,
  claimed_at = case when release then null else a.claimed_at end
from edited e where e.account_id = a.id`;

/** The columns that users have set, and no other, as they stand in the directory now. */
const EXPECT = `
with edited as (
  select account_id, bool_or(kind = 'email') as email,
    bool_or(kind = 'deactivate') as deactivate, bool_or(kind = 'release') as release
  from replay.edit where minute >= $1 and minute < $2 group by account_id
)
update replay.expected_account x
set email = case when e.email then a.email else x.email end,
  email_domain = case when e.email then a.email_domain else x.email_domain end,
  deactivated_at = case when e.deactivate then a.deactivated_at else x.deactivated_at end,
  state = case when e.release then a.state else x.state end,
  organisation_id = case when e.release then a.organisation_id else x.organisation_id end,
  claimed_domain_id = case when e.release then a.claimed_domain_id else x.claimed_domain_id end,
  claimed_at = case when e.release then a.claimed_at else x.claimed_at end
from edited e join directory.account a on a.id = e.account_id
where x.id = e.account_id`;

/** What a slot before the incident brings: a part of the new ones ask for their domain, and checks come due. */
export async function beforeSlot(
  owner: pg.Pool,
  size: WorldSize,
  slot: number,
  slots: number,
): Promise<void> {
  await inTransaction(owner, async (client) => {
    await client.query(ASK, [size.seed, slot, slots]);
    await client.query(COME_DUE, [slot]);
  });
}

const ASK = `
with asking as (
  update replay.place p set asked = true
  from replay.organisation o
  where o.number = p.organisation and p.at = 0 and o.kind = 'newcomer'
    and floor($3::integer * replay.draw($1, 'asks', o.number)) = $2::integer
  returning o.id, o.number, p.name, p.domain_id
), request as (
  insert into directory.request
    (id, organisation_id, domain_name, requested_by, requested_at, token, token_issued_at)
  select 'request-' || lpad(number::text, 6, '0'), id, name, 'admin-' || lpad(number::text, 6, '0'),
    now() - interval '2 seconds', replay.token($1, name), now() - interval '1 second'
  from asking
)
update directory.domain d
set request_id = 'request-' || lpad(number::text, 6, '0'), check_count = 0, next_check_at = now()
from asking where asking.domain_id = d.id`;

/** A verified domain is checked once a day: in each quarter of an hour, one in 96. */
const COME_DUE = `
update directory.domain set next_check_at = now()
where state = 'VERIFIED' and hashtext(id) & 65535 between $1::integer * 683 and $1::integer * 683 + 682`;

/** A login that failed, as a product knows it. */
export interface FailedLogin {
  readonly id: string;
  readonly region: string;
  /** The organisation that manages the account. */
  readonly organisation: string;
}

/** Each account logs in somewhere so often. */
const MINUTES_BETWEEN_LOGINS = 60;

/**
 * Lets users log in for a minute, and answers the logins of managed accounts that failed: of those who are
 * locked out all, and of all others one in 500, as on any day.
 */
export async function logIn(owner: pg.Pool, size: WorldSize, minute: number): Promise<FailedLogin[]> {
  const { rows } = await owner.query<FailedLogin>(LOGINS, [
    size.seed,
    minute,
    minute + 1,
    Math.max(1, Math.round(size.accounts / MINUTES_BETWEEN_LOGINS)),
    size.accounts - organisationsOf(size),
  ]);
  return rows;
}

const LOGINS = `
select 'login-' || turn as id, a.home_region as region, a.organisation_id as organisation
from ${TURNS('$2', '$3', '$4')}
join directory.account a
  on a.id = 'account-' || lpad((1 + floor($5::integer * replay.draw($1, 'logs in', turn)))::text, 7, '0')
join replay.person p on p.account_id = a.id
join replay.organisation o on o.id = a.organisation_id
where a.state = 'MANAGED' and a.deactivated_at is null
  and (o.sso_enforced and p.identity_of is distinct from o.id or replay.draw($1, 'fails', turn) < 0.002)
order by turn`;
