-- Break-glass: for a time, a version may act for more of a region than any rollout has admitted it to, since two people
-- agreed. A row is never deleted: it says for ever that this was done.
create table portcullis_control.break_glass (
  -- The request for approval; one request may be for several regions.
  id           text not null,
  job          text not null,
  region       text not null,
  version      text not null,
  -- Thousandths of the region's units.
  permille     smallint not null check (permille between 1 and 1000),
  reason       text not null,
  requested_by text not null,
  approved_by  text not null,
  granted_at   timestamptz not null default clock_timestamp(),
  -- From then on it does not count, whether anybody writes that down or not.
  expires_at   timestamptz not null,
  -- Null: nobody has ended it, or noted that it expired.
  ended_at     timestamptz,
  ended        text check (ended in ('expired', 'revoked', 'cleared')),
  ended_by     text,
  ended_reason text,
  primary key (id, region),
  check ((ended is null) = (ended_at is null))
);
create index break_glass_open on portcullis_control.break_glass (job, region, version) where ended_at is null;

-- The runs that were planned under it, as far as the control plane has heard.
create table portcullis_control.break_glass_run (
  run      uuid primary key,
  id       text not null,
  region   text not null,
  heard_at timestamptz not null default clock_timestamp(),
  foreign key (id, region) references portcullis_control.break_glass
);

alter table portcullis_control.admission
  drop constraint admission_source_check,
  add constraint admission_source_check check (source in ('upgrade', 'initial', 'rollout', 'cleared', 'break-glass'));

-- Whatever begins or ends it is a change of the version's admission: it draws a revision, and is told.
create function portcullis_control.break_glass_written() returns trigger language plpgsql as $$
begin
  insert into portcullis_control.admission as a (job, region, version, permille, source, reason, changed_by)
  values (new.job, new.region, new.version, 0, 'break-glass', new.reason, new.requested_by)
  on conflict (job, region, version) do update set changed_by = a.changed_by;
  return null;
end $$;
create trigger break_glass_written after insert or update on portcullis_control.break_glass
  for each row execute function portcullis_control.break_glass_written();
