-- What changed here, for whoever follows: see src/events/outbox.ts. Rows become visible out of the order of their ids, so
-- they are ordered by their transactions first: below the oldest one that is running nothing is added any more.
create table portcullis_control.event (
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
create index event_by_time on portcullis_control.event (at);

-- Arguments: the kind, the column of the subject, and the columns that are told. It runs as its owner, so that whoever
-- may change a row needs no right of their own to tell it.
create function portcullis_control.record_event() returns trigger
  language plpgsql security definer set search_path = pg_catalog as $$
declare
  changed jsonb := to_jsonb(case when tg_op = 'DELETE' then old else new end);
begin
  insert into portcullis_control.event (kind, job, region, subject, data)
  values (tg_argv[0], changed ->> 'job', changed ->> 'region', changed ->> tg_argv[1],
    (select coalesce(jsonb_object_agg(name, changed -> name), '{}')
     from unnest(tg_argv[2:]) as name where name is not null));
  return null;
end $$;
-- A trigger on a table of somebody else's would tell what never happened.
revoke execute on function portcullis_control.record_event() from public;

create trigger flag_told after insert or update on portcullis_control.flag for each row
  execute function portcullis_control.record_event('flag', '', 'enabled', 'revision', 'changed_by', 'reason');
create trigger admission_made after insert on portcullis_control.admission for each row
  execute function portcullis_control.record_event('admission', 'version', 'permille', 'source', 'changed_by');
create trigger admission_moved after update on portcullis_control.admission for each row
  when (old.permille is distinct from new.permille)
  execute function portcullis_control.record_event('admission', 'version', 'permille', 'source', 'changed_by');
create trigger break_glass_granted after insert on portcullis_control.break_glass for each row
  execute function portcullis_control.record_event('break-glass', 'id', 'version', 'permille', 'expires_at', 'ended');
create trigger break_glass_ended after update on portcullis_control.break_glass for each row
  when (old.ended is distinct from new.ended)
  execute function portcullis_control.record_event('break-glass', 'id', 'version', 'permille', 'expires_at', 'ended');
create trigger policy_told after insert or update on portcullis_control.policy for each row
  execute function portcullis_control.record_event('policy', '', 'source', 'applied_by');
create trigger approval_asked after insert on portcullis_control.approval for each row
  execute function portcullis_control.record_event('approval', 'id', 'action', 'requested_by', 'decision', 'decided_by');
create trigger approval_decided after update on portcullis_control.approval for each row
  when (old.decision is distinct from new.decision)
  execute function portcullis_control.record_event('approval', 'id', 'action', 'requested_by', 'decision', 'decided_by');
create trigger incident_opened after insert on portcullis_control.incident for each row
  execute function portcullis_control.record_event('incident', 'id', 'state', 'severity', 'title');
create trigger incident_moved after update on portcullis_control.incident for each row
  when ((old.state, old.severity) is distinct from (new.state, new.severity))
  execute function portcullis_control.record_event('incident', 'id', 'state', 'severity', 'title');
create trigger trip_recorded after insert on portcullis_control.trip for each row
  execute function portcullis_control.record_event('trip', 'id', 'version', 'stage', 'run', 'incident');

-- What happens to a rollout is told by its own history, whose rows do not name the job.
create function portcullis_control.record_rollout_event() returns trigger
  language plpgsql security definer set search_path = pg_catalog as $$
declare
  told jsonb := to_jsonb(new);
begin
  insert into portcullis_control.event (kind, job, subject, data)
  select 'rollout', r.job, r.id::text, jsonb_build_object('version', r.version, 'status', r.status,
    'action', told -> 'action', 'by', told -> 'by', 'reason', told -> 'reason')
  from portcullis_control.rollout r where r.id = (told ->> 'rollout')::uuid;
  return null;
end $$;
revoke execute on function portcullis_control.record_rollout_event() from public;
create trigger rollout_told after insert on portcullis_control.rollout_event for each row
  execute function portcullis_control.record_rollout_event();
