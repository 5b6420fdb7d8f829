-- The control plane decides: policies as they were applied, and each flag's state.
create schema if not exists portcullis_control;

create table portcullis_control.policy (
  job        text primary key,
  policy     jsonb not null,
  source     text not null,
  applied_by text not null,
  applied_at timestamptz not null default clock_timestamp()
);

-- One counter for all flags, so that "the state as of revision 41" means one thing.
create sequence portcullis_control.flag_revision;

create table portcullis_control.flag (
  job        text not null,
  region     text not null,
  enabled    boolean not null default false,
  -- [{"version": "1.0.0+9f3c2a1b", "permille": 250}], candidate first; what is left of 1000 is held.
  variants   jsonb not null default '[]',
  revision   bigint not null default nextval('portcullis_control.flag_revision'),
  reason     text not null,
  changed_by text not null,
  changed_at timestamptz not null default clock_timestamp(),
  primary key (job, region)
);

create table portcullis_control.flag_change (
  revision   bigint primary key,
  job        text not null,
  region     text not null,
  enabled    boolean not null,
  variants   jsonb not null,
  reason     text not null,
  changed_by text not null,
  changed_at timestamptz not null
);
create index flag_change_by_flag on portcullis_control.flag_change (job, region, revision desc);

-- Whoever writes a flag, by whatever way: it gets a revision, a line of history, and every process hears.
create function portcullis_control.flag_written() returns trigger language plpgsql as $$
begin
  new.revision := nextval('portcullis_control.flag_revision');
  new.changed_at := clock_timestamp();
  insert into portcullis_control.flag_change
  values (new.revision, new.job, new.region, new.enabled, new.variants, new.reason, new.changed_by, new.changed_at);
  perform pg_notify('portcullis_flag', new.revision::text);
  return new;
end $$;
create trigger flag_written before insert or update on portcullis_control.flag
  for each row execute function portcullis_control.flag_written();

create table portcullis_control.api_token (
  id           uuid primary key,
  name         text not null unique,
  sha256       bytea not null unique,
  created_at   timestamptz not null default clock_timestamp(),
  last_used_at timestamptz,
  revoked_at   timestamptz
);
