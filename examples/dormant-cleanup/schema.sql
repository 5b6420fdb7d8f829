-- A small product's database: another team's, made without a thought of Portcullis.
create type standing as enum ('active', 'dormant', 'closed');

create table tenants (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  region text not null
);

create table customers (
  id bigint generated always as identity primary key,
  tenant_id uuid not null references tenants,
  region text not null,
  email text not null unique,
  standing standing not null default 'active',
  last_seen timestamptz,
  note jsonb
);

create table sessions (
  token text primary key,
  customer_id bigint not null references customers,
  tenant_id uuid not null references tenants,
  region text not null,
  opened_at timestamptz not null,
  expires_at timestamptz not null,
  user_agent text
);
