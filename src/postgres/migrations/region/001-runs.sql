-- The region plane acts: gates, runs, and the journal.
create schema if not exists portcullis_region;

create table portcullis_region.gate (
  job           text not null,
  region        text not null,
  state         text not null default 'held' check (state in ('open', 'held', 'killed')),
  -- Bumped whenever something that a run was allowed is taken back; a batch under an older epoch is fenced.
  epoch         bigint not null default 1,
  -- Nobody has to close a gate: a permit that is not renewed lapses.
  permit_until  timestamptz not null default '-infinity',
  flag_revision bigint not null default 0,
  -- What the flag allowed at that revision: [{"version": …, "permille": …}].
  variants      jsonb not null default '[]',
  reason_code   text not null default 'never-permitted',
  reason        text not null default 'no flag has ever permitted this job here',
  changed_at    timestamptz not null default clock_timestamp(),
  primary key (job, region)
);

create table portcullis_region.run (
  id             uuid primary key,
  job            text not null,
  version        text not null,
  region         text not null,
  slot           timestamptz not null,
  trigger        text not null check (trigger in ('schedule', 'catch-up', 'manual')),
  dry_run        boolean not null default false,
  status         text not null check (status in
                   ('planning', 'applying', 'succeeded', 'planned', 'held', 'refused', 'stopped', 'failed', 'skipped')),
  reason_code    text not null,
  reason         text not null,
  -- The lease: who works on it, until when, and how often it has changed hands.
  attempt        integer not null default 1,
  worker         text not null,
  lease_until    timestamptz not null,
  gate_epoch     bigint,
  flag_revision  bigint,
  admitted_units integer,
  -- What applying needs, so that any worker can finish a run and a restore needs no job code: the resources
  -- as the version declared them, and the statements of a batch in order: [{"resource": "account", "operation": "update", "requires": []}].
  resources      jsonb not null default '{}',
  steps          jsonb not null default '[]',
  lanes          smallint not null default 0,
  -- {"claim": 40}: counts by kind.
  planned        jsonb not null default '{}',
  applied        jsonb not null default '{}',
  conflicts      integer not null default 0,
  created_at     timestamptz not null default clock_timestamp(),
  planned_at     timestamptz,
  finished_at    timestamptz,
  -- Electing is inserting: whoever inserts a version's row for a slot runs it.
  unique (job, region, slot, version)
);
-- One active run per job and region. Dry runs write nothing and may go beside it.
create unique index run_active on portcullis_region.run (job, region)
  where status in ('planning', 'applying') and not dry_run;
create index run_unfinished on portcullis_region.run (lease_until) where status in ('planning', 'applying');
create index run_newest on portcullis_region.run (created_at desc, id);

-- Written once, when planned, and never changed. `lane` and `seq` give the order of application. No foreign
-- key: its check for each row would cost more than the row, and whoever writes a change holds the run's lease.
create table portcullis_region.change (
  run      uuid not null,
  lane     smallint not null,
  seq      integer not null,
  resource text not null,
  key      text not null,
  kind     text not null,
  unit     text not null,
  before   jsonb,
  after    jsonb,
  -- Other rows that it rests on: [{"resource": "domain", "key": "d1", "image": {"state": "VERIFIED"}}].
  requires jsonb,
  evidence jsonb not null,
  primary key (run, lane, seq)
);
-- One change per row and run; and the way from a row to the runs that changed it.
create unique index change_by_row on portcullis_region.change (resource, key, run);

-- How far each lane has applied its changes, and which attempt of the run may move it.
create table portcullis_region.lane (
  run         uuid not null references portcullis_region.run,
  lane        smallint not null,
  attempt     integer not null,
  last_seq    integer not null,
  applied_seq integer not null default 0,
  primary key (run, lane)
) with (fillfactor = 50);

-- When each stretch of a lane was applied.
create table portcullis_region.batch (
  run        uuid not null references portcullis_region.run,
  lane       smallint not null,
  from_seq   integer not null,
  to_seq     integer not null,
  attempt    integer not null,
  applied_at timestamptz not null default clock_timestamp(),
  primary key (run, lane, to_seq)
);

-- Changes that met other values than they expected, or a constraint. They were not applied.
create table portcullis_region.conflict (
  run     uuid not null references portcullis_region.run,
  lane    smallint not null,
  seq     integer not null,
  -- The row as it was found; null where there was none.
  found   jsonb,
  -- Why it was refused, where its own row was as expected: a constraint, or a row that it rests on.
  refusal text,
  primary key (run, lane, seq)
);
