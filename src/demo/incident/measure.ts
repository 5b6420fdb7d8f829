import type pg from 'pg';
import { PRODUCTS, type Product } from '../products.js';
import type { Harm } from './result.js';

/** What stands wrongly in the directory now, and what that means at the products' doors. */
export async function measureHarm(owner: pg.Pool): Promise<Harm> {
  const { rows } = await owner.query<Omit<Harm, 'lockedOut'>>(`
    with touched as (
      select region, organisation_id, 'account' as what from replay.wrong_claim
      union all
      select region, organisation_id, 'domain' from replay.wrong_verification
    )
    select count(*) filter (where what = 'account') as "wronglyClaimed",
      count(*) filter (where what = 'domain') as "wronglyVerified",
      count(distinct region) as "regionsTouched",
      count(distinct organisation_id) as "organisationsTouched"
    from touched`);
  const locked = await owner.query<{ product: Product; n: number }>(
    'select product, count(*) as n from replay.locked_out join directory.product_use using (account_id) group by product',
  );
  const counts = new Map(locked.rows.map(({ product, n }) => [product, n]));
  const lockedOut = Object.fromEntries(PRODUCTS.map((product) => [product, counts.get(product) ?? 0]));
  const [touched] = rows;
  if (touched === undefined) throw new Error('counting answered nothing');
  return { ...touched, lockedOut: lockedOut as Record<Product, number> };
}

export async function countWrongClaims(owner: pg.Pool): Promise<number> {
  const { rows } = await owner.query<{ n: number }>('select count(*) as n from replay.wrong_claim');
  return rows[0]?.n ?? 0;
}

/**
 * The rows of all the tables that the job declares which are not, in every column, what they were before the
 * incident with users' edits on top.
 */
export async function countRowsNotAsBefore(owner: pg.Pool): Promise<number> {
  const tables = ['account', 'domain', 'request', 'organisation'].map(
    (table) => `
      select count(*) as n from directory.${table} now
      full join replay.expected_${table} before using (id)
      where now::text is distinct from before::text`,
  );
  const { rows } = await owner.query<{ n: number }>(
    `select sum(n)::bigint as n from (${tables.join(' union all ')}) t`,
  );
  return rows[0]?.n ?? 0;
}

/** Of each user's latest edits of each kind, those that do not stand. */
export async function countEditsLost(owner: pg.Pool): Promise<number> {
  const { rows } = await owner.query<{ n: number }>(`
    with latest as (
      select distinct on (account_id, kind) account_id, kind, value
      from replay.edit order by account_id, kind, minute desc, number desc
    )
    select count(*) as n from latest e join directory.account a on a.id = e.account_id
    where case e.kind
      when 'email' then a.email <> e.value
      when 'deactivate' then a.deactivated_at is null
      else a.state <> 'RELEASED'
    end`);
  return rows[0]?.n ?? 0;
}
