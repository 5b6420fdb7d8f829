-- A plan as its transaction leaves it: judged, and not begun. That transaction reads one snapshot, in which it may
-- change no row that others change meanwhile, so it only inserts; another one moves the run to `applying`, or to its
-- end. Whoever finds a plan whose run is still `planning` goes on from here and does not plan again.
create table portcullis_region.plan (
  -- Inserted before anything is planned: a second attempt waits here for the first, and of two one commits. No foreign
  -- key: it would lock the run's row for as long as the plan takes, beside each renewal of the lease.
  run            uuid primary key,
  planned_at     timestamptz,
  gate_epoch     bigint,
  flag_revision  bigint,
  admitted_units integer,
  -- What becomes of the run's columns of these names.
  resources      jsonb not null default '{}',
  steps          jsonb not null default '[]',
  planned        jsonb not null default '{}',
  planned_units  jsonb,
  covered        jsonb,
  newcomers      jsonb,
  -- Where each lane ends: [{"lane": 0, "lastSeq": 120}].
  lanes          jsonb not null default '[]',
  -- How the run ends where nothing is to be applied: {"status": …, "code": …, "reason": …}. Null: it is to be applied.
  outcome        jsonb
);

-- Runs that an earlier program has planned and judged, and not ended.
insert into portcullis_region.plan
  (run, planned_at, gate_epoch, flag_revision, admitted_units, resources, steps, planned, planned_units, covered, newcomers,
   outcome)
select id, planned_at, gate_epoch, flag_revision, admitted_units, resources, steps, planned, planned_units, covered, newcomers,
  jsonb_build_object('code', reason_code, 'reason', reason, 'status',
    case reason_code when 'guard-held' then 'held' when 'dry-run' then 'planned' when 'nothing-to-do' then 'succeeded'
      else 'refused' end)
from portcullis_region.run
where status = 'planning' and planned_at is not null and restores is null;
