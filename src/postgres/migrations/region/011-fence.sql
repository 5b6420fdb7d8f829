-- The fence (docs/adr/0016-the-fence-knows-its-version-and-its-database.md): a version's own epoch, the database that
-- permits were given on, and kills that are not in the audit log yet.

-- Raised when one version loses what it was allowed, and no other does. No row: 0.
create table portcullis_region.version_epoch (
  job     text not null,
  region  text not null,
  version text not null,
  epoch   bigint not null,
  primary key (job, region, version)
);

alter table portcullis_region.run
  -- The epoch of its version under which a run was admitted, beside the gate's.
  add column version_epoch bigint not null default 0;

-- Which database this is: the cluster's identifier and its timeline, which a promotion and a recovery from a backup
-- raise. `unknown` stands for what the service does not tell. With the owner's rights, so that every login gets the
-- same answer, and with every name qualified, so that no search_path changes what it means.
create function portcullis_region.database_identity() returns text
language plpgsql stable security definer as $$
declare
  cluster  text := 'unknown';
  timeline text := 'unknown';
begin
  begin
    cluster := (select c.system_identifier::pg_catalog.text from pg_catalog.pg_control_system() c);
  exception when insufficient_privilege or undefined_function or feature_not_supported then null;
  end;
  begin
    timeline := ('x' operator(pg_catalog.||) pg_catalog.left(
      pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::pg_catalog.bit(32)::pg_catalog.int8::pg_catalog.text;
  exception when insufficient_privilege or undefined_function or feature_not_supported
      or object_not_in_prerequisite_state then null;
  end;
  return pg_catalog.concat(cluster, '/', timeline);
end $$;

-- The databases that permits hold on. After a failover to a replica, or a recovery from a backup, this is another
-- database: no batch passes the fence until a person has confirmed it.
create table portcullis_region.confirmed_database (
  identity     text primary key,
  confirmed_at timestamptz not null default clock_timestamp(),
  confirmed_by text not null check (confirmed_by <> ''),
  reason       text not null check (reason <> ''),
  -- A switchover that is planned: the confirmation counts only until then, unless the database was reached by then.
  expires_at   timestamptz
);
insert into portcullis_region.confirmed_database (identity, confirmed_by, reason)
values (portcullis_region.database_identity(), 'system:migrate', 'the database that was migrated');

-- Kills that hold and are not in the audit log yet. Written in the kill's own transaction; any process that reaches
-- both databases moves them.
create table portcullis_region.unrecorded_kill (
  id           uuid primary key,
  at           timestamptz not null default clock_timestamp(),
  job          text not null,
  region       text not null,
  -- Null: the job, whatever its version.
  version      text,
  restores_too boolean not null,
  drill        boolean not null,
  reason       text not null,
  killed_by    text not null,
  epoch        bigint not null,
  in_flight    integer not null,
  -- What came after the kill's transaction. Null: its process did not come that far.
  terminated   integer,
  runs_ended   uuid[]
);
