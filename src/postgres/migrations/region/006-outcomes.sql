-- What became of organisations after a job had changed them: bad outcomes that products report.
create table portcullis_region.outcome (
  job         text not null,
  -- The reporter's own id of the event: reported twice, it counts once.
  id          text not null,
  -- The order in which rules read them. Reports of one job and region take turns, so that none comes in behind
  -- one that has been read.
  seq         bigint not null generated always as identity,
  region      text not null,
  unit        text not null,
  kind        text not null,
  -- When it happened, by the reporter's clock, and never later than it came.
  at          timestamptz not null,
  received_at timestamptz not null default clock_timestamp(),
  -- The version whose change the unit had at that moment. Null: none, or it has not been read yet.
  version     text,
  primary key (job, id)
);
create index outcome_by_turn on portcullis_region.outcome (job, region, kind, seq);
create index outcome_by_age on portcullis_region.outcome (received_at);

-- From when on a run's change stood at a unit: the journal in short, one row per unit and run. It is made from
-- the journal when outcomes are judged, so that nobody who writes has to wait for it.
create table portcullis_region.unit_change (
  job        text not null,
  region     text not null,
  unit       text not null,
  run        uuid not null,
  -- Null: a restore, after which the unit has no version's change any more.
  version    text,
  applied_at timestamptz not null,
  primary key (run, unit)
);
create index unit_change_by_unit on portcullis_region.unit_change (job, region, unit, applied_at);

-- Runs that are over and stand in unit_change for good.
create table portcullis_region.unit_change_run (
  run uuid primary key
);

-- How an outcome rule stands for a version: what it has read, and what it made of it.
create table portcullis_region.outcome_state (
  job     text not null,
  region  text not null,
  version text not null,
  rule    text not null,
  -- What the rule was when it began: another event, chance or tolerance begins anew.
  options jsonb not null,
  cursor  bigint not null,
  state   jsonb not null,
  primary key (job, region, version, rule)
);
