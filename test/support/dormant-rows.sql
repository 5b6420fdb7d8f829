insert into tenants (name, region)
select 'Tenant ' || n, case when n % 2 = 0 then 'eu' else 'us' end from generate_series(1, 20) n;

insert into customers (tenant_id, region, email, last_seen, note)
select t.id, t.region, 'c' || n || '@' || replace(lower(t.name), ' ', '') || '.example',
  case when n % 3 = 0 then now() - interval '3 years' when n % 3 = 1 then now() - interval '1 day' end,
  case when n % 4 = 0 then jsonb_build_object('since', n) end
from tenants t, generate_series(1, 30) n;

insert into sessions (token, customer_id, tenant_id, region, opened_at, expires_at)
select 'session-' || c.id, c.id, c.tenant_id, c.region, now() - interval '40 days', now() - interval '10 days'
from customers c where c.id % 2 = 0;
