-- A database with what databases have: uuid units, an enum, partitions, keys of several columns, identity and generated
-- columns, triggers of each sort, foreign keys that cascade in several ways, row-level security.
create schema shop;
create type shop.state as enum ('open', 'late', 'paid');

create table shop.tenants (id uuid primary key, name text not null, region text not null);
insert into shop.tenants select format('00000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid, 'tenant ' || n, 'eu'
  from generate_series(1, 6) n;

create table shop.orders (
  tenant_id uuid not null references shop.tenants, number int not null, placed_on date not null,
  state shop.state not null default 'open', price numeric not null, fee numeric, history jsonb,
  total numeric generated always as (price * 2) stored, note text, updated_at timestamptz not null default '2026-01-01',
  primary key (tenant_id, number, placed_on)
) partition by range (placed_on);
create table shop.orders_2025 partition of shop.orders for values from ('2025-01-01') to ('2026-01-01');
create table shop.orders_2026 partition of shop.orders for values from ('2026-01-01') to ('2027-01-01');
insert into shop.orders (tenant_id, number, placed_on, state, price, history)
  select format('00000000-0000-4000-8000-%s', lpad((1 + n % 6)::text, 12, '0'))::uuid, n, date '2025-07-01' + n,
    (case when n % 5 = 0 then 'paid' else 'open' end)::shop.state, n + 0.50, case when n % 2 = 0 then '{"a": [1.0, null]}'::jsonb end
  from generate_series(1, 300) n;
create table shop.order_log (number int, state shop.state, at timestamptz default clock_timestamp());
-- Before a row is stored: rounds what it is given, and sets a column that no job names.
create function shop.tidy() returns trigger language plpgsql as $$ begin
  new.fee := round(new.fee, 2); new.updated_at := clock_timestamp(); return new; end $$;
create trigger tidy before update on shop.orders for each row execute function shop.tidy();
-- Afterwards: writes to another table.
create function shop.tell() returns trigger language plpgsql security definer as $$ begin
  insert into shop.order_log (number, state) values (new.number, new.state); return null; end $$;
create trigger tell after update on shop.orders for each row execute function shop.tell();

create table shop.sessions (id int primary key, tenant_id uuid not null references shop.tenants, ended boolean not null, agent text);
insert into shop.sessions select n, format('00000000-0000-4000-8000-%s', lpad((1 + n % 6)::text, 12, '0'))::uuid, n % 3 = 0,
  'agent ' || n from generate_series(1, 150) n;
-- Goes with its session, and with the event that it follows.
create table shop.events (id bigint generated always as identity primary key, session int not null references shop.sessions on delete cascade,
  follows bigint references shop.events on delete cascade, at timestamptz not null);
insert into shop.events (session, follows, at) select s, case when n > 1 then (s - 1) * 3 + n - 1 end, timestamptz '2026-01-01 00:00:00.123' + n * interval '1 s'
  from generate_series(1, 150) s, generate_series(1, 3) n order by s, n;
-- Goes with its event, and with its session.
create table shop.notes (event bigint references shop.events on delete cascade, session int references shop.sessions on delete cascade,
  line int, text text, primary key (event, line));
insert into shop.notes select e.id, e.session, 1, 'note on ' || e.id from shop.events e where e.id % 2 = 0;
-- Is left with nothing when its session goes.
create table shop.tabs (id int primary key, session int references shop.sessions on delete set null, title text);
insert into shop.tabs select n, n, 'tab ' || n from generate_series(1, 150) n;
create table shop.session_log (session int, what text);
create function shop.gone() returns trigger language plpgsql security definer as $$ begin
  insert into shop.session_log values (coalesce(new.id, old.id), tg_op); return null; end $$;
create constraint trigger gone after insert or delete on shop.sessions deferrable initially deferred for each row execute function shop.gone();

create table shop.reminders (id int generated always as identity primary key, tenant_id uuid not null references shop.tenants, text text not null);
insert into shop.reminders (tenant_id, text) select id, 'welcome' from shop.tenants;

create table shop.secrets (tenant_id uuid primary key references shop.tenants, value text);
alter table shop.secrets enable row level security;
insert into shop.secrets select id, md5(name) from shop.tenants;
