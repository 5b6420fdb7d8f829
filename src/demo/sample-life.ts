import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { inTransaction } from '../postgres/pool.js';
import type { OwnerSql } from '../sdk/contract.js';
import { ownerSql } from '../worker/job-sample.js';
import { SAMPLE_PREFIX } from './sample-rows.js';

/** So many organisations of a region get a new account each time: far below what count rules find odd. */
const JOINING = 8;

/**
 * Lets the sample world's people live on in a region: new accounts join organisations that have asked for claims, and
 * checks of verified domains come due. So every run finds something to do. Answers how many of each there were.
 */
export async function liveOn(
  owner: pg.Pool,
  region: string,
  { joining = JOINING }: { readonly joining?: number } = {},
): Promise<{ readonly joined: number; readonly due: number }> {
  return inTransaction(owner, (client) => live(ownerSql(client), region, joining));
}

/** The same, unless what happened last still waits for a run: so a world that nobody runs jobs in does not grow. */
export async function liveOnWhereDone(sql: OwnerSql, region: string): Promise<void> {
  const [found] = await sql<{ waits: boolean }>`
    select exists (select from directory.account
                   where home_region = ${region} and state = 'UNMANAGED' and email like 'joiner.%') as waits`;
  if (found?.waits === false) await live(sql, region, JOINING);
}

async function live(
  sql: OwnerSql,
  region: string,
  joining: number,
): Promise<{ readonly joined: number; readonly due: number }> {
  const joined = await sql(JOIN, [region, joining, `${SAMPLE_PREFIX}account-${randomUUID()}`]);
  const due = await sql(COME_DUE, [region]);
  return { joined: joined.length, due: due.length };
}

/** One account at one domain of each organisation, of those whose claim would be honest; another choice each time. */
const JOIN = `
with open as (
  select distinct on (o.id) o.id as organisation, d.name
  from directory.domain d
  join directory.organisation o on o.id = d.organisation_id
  join directory.request r on r.id = d.request_id and r.organisation_id = d.organisation_id
  where d.home_region = $1 and d.state = 'VERIFIED' and d.absent_at is null and r.withdrawn_at is null
    and r.requested_by is not null and o.consent = 'all' and o.suspended_at is null
  order by o.id, random()
), chosen as (
  select name, row_number() over (order by random()) as number from open order by random() limit $2
), joined as (
  insert into directory.account (id, email, email_verified, kind, home_region, state)
  select $3 || '-' || number, 'joiner.' || substr(md5($3 || number), 1, 12) || '@' || name, true, 'person', $1, 'UNMANAGED'
  from chosen
  returning id
)
insert into directory.product_use (account_id, product) select id, 'Jira' from joined returning account_id`;

const COME_DUE = `
update directory.domain set next_check_at = clock_timestamp()
where home_region = $1 and state = 'VERIFIED' and proof = 'dns' and absent_at is null and request_id is not null
returning id`;
