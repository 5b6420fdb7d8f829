-- What a run was admitted under: see control/018-break-glass.sql. A run that rests on break-glass keeps its id for ever, and
-- writes nothing from `break_glass_until` on, by this database's clock.
alter table portcullis_region.plan
  add column break_glass text,
  add column break_glass_until timestamptz,
  -- Thousandths that the flag asked for, and that the version was admitted to; null where a release before did not say.
  add column asked_permille smallint,
  add column admitted_permille smallint;
alter table portcullis_region.run
  add column break_glass text,
  add column break_glass_until timestamptz,
  add column asked_permille smallint,
  add column admitted_permille smallint;
create index run_under_break_glass on portcullis_region.run (break_glass) where break_glass is not null;

-- The newest revision of the version's own admission that the gate has seen. An older one does not count any more: it is
-- from a backup of the control database.
alter table portcullis_region.version_epoch add column admission_revision bigint not null default 0;
