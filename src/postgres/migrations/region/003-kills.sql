-- Kills that latch, quarantined versions, and restores.

alter table portcullis_region.gate
  -- Stops restores too. Only `stop --all` sets it; a kill alone lets the cure through.
  add column stopped   boolean not null default false,
  add column killed_at timestamptz,
  add column killed_by text,
  -- Slots from before this are not caught up: what a re-arm decides to skip.
  add column forget_slots_before timestamptz not null default '-infinity',
  -- A re-arm that asks for it has the slots missed since then caught up once, whatever the policy says.
  add column catch_up_once boolean not null default false;

-- Versions that may act in no region until a person lifts the quarantine.
create table portcullis_region.quarantine (
  job       text not null,
  version   text not null,
  reason    text not null,
  set_by    text not null,
  set_at    timestamptz not null default clock_timestamp(),
  primary key (job, version)
);

alter table portcullis_region.run
  -- The run whose changes this one takes back; null for a run of a job.
  add column restores uuid references portcullis_region.run,
  drop constraint run_status_check,
  add constraint run_status_check check (status in
    ('planning', 'applying', 'succeeded', 'planned', 'held', 'refused', 'stopped', 'killed', 'failed', 'skipped')),
  drop constraint run_trigger_check,
  add constraint run_trigger_check check (trigger in ('schedule', 'catch-up', 'manual', 'restore'));
create index run_by_restored on portcullis_region.run (restores) where restores is not null;

-- A restore is the cure, not the job: it may go on beside neither another restore of the same run nor itself,
-- but a job's run that is still under way must not keep it from starting.
drop index portcullis_region.run_active;
create unique index run_active on portcullis_region.run (job, region)
  where status in ('planning', 'applying') and not dry_run and restores is null;
create unique index restore_active on portcullis_region.run (restores)
  where status in ('planning', 'applying') and not dry_run and restores is not null;
