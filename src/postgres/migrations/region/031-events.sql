-- What changed here, for whoever follows: see src/events/outbox.ts. Rows become visible out of the order of their ids, so
-- they are ordered by their transactions first: below the oldest one that is running nothing is added any more.
create table portcullis_region.event (
  xid     xid8 not null default pg_current_xact_id(),
  id      bigint not null generated always as identity,
  at      timestamptz not null default clock_timestamp(),
  kind    text not null,
  job     text,
  region  text,
  -- The run, version, request, ... that it is about; null where job and region say it all.
  subject text,
  data    jsonb not null,
  primary key (xid, id)
);
create index event_by_time on portcullis_region.event (at);

-- Arguments: the kind, the column of the subject, and the columns that are told. It runs as its owner, so that whoever
-- may change a row needs no right of their own to tell it.
create function portcullis_region.record_event() returns trigger
  language plpgsql security definer set search_path = pg_catalog as $$
declare
  changed jsonb := to_jsonb(case when tg_op = 'DELETE' then old else new end);
begin
  insert into portcullis_region.event (kind, job, region, subject, data)
  values (tg_argv[0], changed ->> 'job', changed ->> 'region', changed ->> tg_argv[1],
    (select coalesce(jsonb_object_agg(name, changed -> name), '{}')
     from unnest(tg_argv[2:]) as name where name is not null));
  return null;
end $$;
-- A trigger on a table of somebody else's would tell what never happened.
revoke execute on function portcullis_region.record_event() from public;

create trigger run_began after insert on portcullis_region.run for each row
  execute function portcullis_region.record_event('run', 'id', 'version', 'status', 'reason_code', 'dry_run', 'restores');
create trigger run_moved after update of status on portcullis_region.run for each row
  when (old.status is distinct from new.status)
  execute function portcullis_region.record_event('run', 'id', 'version', 'status', 'reason_code', 'dry_run', 'restores');
-- The permit is renewed every few seconds, which is no news.
create trigger gate_made after insert on portcullis_region.gate for each row
  execute function portcullis_region.record_event('gate', '', 'state', 'stopped', 'reason_code', 'reason');
create trigger gate_moved after update on portcullis_region.gate for each row
  when ((old.state, old.stopped, old.epoch, old.reason) is distinct from (new.state, new.stopped, new.epoch, new.reason))
  execute function portcullis_region.record_event('gate', '', 'state', 'stopped', 'reason_code', 'reason');
create trigger quarantine_made after insert on portcullis_region.quarantine for each row
  execute function portcullis_region.record_event('quarantine', 'version', 'reason');
create trigger quarantine_lifted after delete on portcullis_region.quarantine for each row
  execute function portcullis_region.record_event('quarantine-lifted', 'version');
create trigger database_confirmed after insert on portcullis_region.confirmed_database for each row
  execute function portcullis_region.record_event('database', 'identity', 'confirmed_by', 'reason');
