import type { JobSample } from 'portcullis';

/** What the ids of its tenants begin with: a database with any other tenant is nobody's sample. */
const TENANTS = 'd0c0ffee';

/** In each region ten tenants with thirty customers each: a third was not seen for years, half have an expired session. */
export const sample: JobSample = {
  units: TENANTS,
  async fill({ sql, regions, seed, now }) {
    await sql`
      insert into tenants (id, name, region)
      select (${TENANTS}::text || right(md5(${seed}::text || region || n), 24))::uuid, 'Tenant ' || n, region
      from unnest(${regions}::text[]) region, generate_series(1, 10) n`;
    await sql`
      insert into customers (tenant_id, region, email, last_seen)
      select t.id, t.region, 'c' || n || '@' || t.id || '.example',
        case n % 3 when 0 then ${now}::timestamptz - interval '3 years' when 1 then ${now}::timestamptz - interval '1 day' end
      from tenants t, generate_series(1, 30) n order by t.id, n`;
    await sql`
      insert into sessions (token, customer_id, tenant_id, region, opened_at, expires_at)
      select 'session-' || id, id, tenant_id, region, ${now}::timestamptz - interval '40 days', ${now}::timestamptz - interval '10 days'
      from customers where id % 2 = 0`;
  },
  // A week goes by for a few: they are not seen any more.
  async goOn({ sql, region }) {
    await sql`
      update customers set last_seen = now() - interval '3 years'
      where id in (select id from customers where region = ${region} and standing = 'active' and last_seen > now() - interval '1 year'
                   order by id limit 5)`;
  },
};
