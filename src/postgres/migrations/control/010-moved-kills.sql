-- Kills that were moved from a region's database to the audit log: a move that was interrupted before the region's row
-- was deleted does not record the kill a second time.
create table portcullis_control.moved_kill (
  id       uuid primary key,
  seq      bigint not null,
  moved_at timestamptz not null default clock_timestamp()
);

-- A region's database is another one than before.
alter table portcullis_control.incident
  drop constraint incident_cause_check,
  add constraint incident_cause_check check (cause in ('trip', 'kill', 'manual', 'absence', 'failover'));
