-- The guard: what invariants may look at, what rules said of each run, and trips on their way.

-- What an invariant sees. A setting of its transaction says which run it is about.
create schema portcullis_guard;
create view portcullis_guard.proposed as
  select kind, resource, key, unit, before, after, evidence
  from portcullis_region.change
  where run = current_setting('portcullis.run')::uuid;
create view portcullis_guard.this_run as
  select id, job, version, region, slot, created_at
  from portcullis_region.run
  where id = current_setting('portcullis.run')::uuid;

-- The role that invariants run as (src/store/logins.ts): it cannot log in, and can only read.
create table portcullis_guard.reader (
  role text primary key
);

-- What each rule said, kept with the figures that it was said on.
create table portcullis_region.verdict (
  run      uuid not null references portcullis_region.run,
  stage    text not null check (stage in ('plan', 'apply', 'bake')),
  rule     text not null,
  verdict  text not null check (verdict in ('pass', 'fail', 'too-few', 'no-data', 'unreachable')),
  reason   text not null,
  figures  jsonb not null check (jsonb_typeof(figures) = 'object'),
  -- The first rows that broke an invariant.
  evidence jsonb not null default '[]' check (jsonb_typeof(evidence) = 'array'),
  at       timestamptz not null default clock_timestamp(),
  primary key (run, stage, rule)
);

-- A run that did not succeed of itself teaches only once a person has accepted it.
alter table portcullis_region.run
  add column accepted_at timestamptz,
  add column accepted_by text,
  add constraint run_accepted check (num_nulls(accepted_at, accepted_by) in (0, 2));

create index run_by_place on portcullis_region.run (job, region, created_at desc);

-- A level has shifted for good: runs from before teach no more. No kind: of any kind.
create table portcullis_region.baseline (
  job    text not null,
  region text not null,
  kind   text not null default '',
  since  timestamptz not null,
  reason text not null,
  set_by text not null,
  set_at timestamptz not null default clock_timestamp(),
  primary key (job, region, kind)
);

-- How a rate stands after the batches so far. Written in each batch's own transaction, so that the batches
-- were judged in the order in which they committed, and whoever takes the run over goes on from there.
create table portcullis_region.rate (
  run       uuid not null references portcullis_region.run,
  rule      text not null,
  -- What was settled when the run was planned.
  frozen    jsonb not null,
  state     jsonb not null,
  -- Failed for good: no further batch of the run commits.
  tripped   boolean not null default false,
  primary key (run, rule)
) with (fillfactor = 50);

-- A rule dropped a gate, and how far that has got. Written before anything else is done, in the transaction
-- that the fault was found in, so that whoever finds it unfinished goes on with it.
create table portcullis_region.trip (
  id         uuid primary key,
  job        text not null,
  region     text not null,
  -- Null where no one version is to blame, as for an alert that names none.
  version    text,
  run        uuid,
  stage      text not null check (stage in ('plan', 'apply', 'bake')),
  -- [{"rule": …, "reason": …, "figures": {…}, "evidence": […]}]: what failed together.
  failed     jsonb not null check (jsonb_array_length(failed) > 0),
  -- What becomes of what the run has written.
  restore    text not null check (restore in ('propose', 'auto', 'never')),
  at         timestamptz not null default clock_timestamp(),
  -- From when on nothing of it can commit in this region.
  fenced_at  timestamptz,
  -- The regions in which its version is quarantined.
  quarantined text[] not null default '{}',
  settled_at timestamptz
);
create index trip_unsettled on portcullis_region.trip (at) where settled_at is null;
create index trip_by_run on portcullis_region.trip (run);
