-- Versions that workers can run, and the rollouts that admit them.

-- Every version that was ever announced. One that is not here has never been seen anywhere.
create table portcullis_control.version (
  job           text not null,
  -- 1.1.0+9f3c2a1b: the number, and the digest of the job's code.
  version       text not null,
  digest        text not null,
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at  timestamptz not null default clock_timestamp(),
  primary key (job, version)
);

-- Which worker can run it, where. A worker says so again and again; one that is silent can't.
create table portcullis_control.worker_version (
  worker        text not null,
  job           text not null,
  version       text not null,
  regions       text[] not null,
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at  timestamptz not null default clock_timestamp(),
  primary key (worker, job, version)
);
create index worker_version_by_job on portcullis_control.worker_version (job, last_seen_at desc);

create table portcullis_control.rollout (
  id            uuid primary key,
  job           text not null,
  version       text not null,
  status        text not null check (status in ('running', 'paused', 'completed', 'aborted')),
  -- `rollout` of the policy that it started with, as it was written: a later policy does not change it.
  policy        jsonb not null,
  reason        text not null,
  started_by    text not null,
  started_at    timestamptz not null,
  -- When somebody last looked at the evidence, and since when without a gap.
  looked_at     timestamptz not null,
  watched_since timestamptz not null,
  ended_at      timestamptz,
  ended_by      text,
  end_reason    text,
  check ((status in ('completed', 'aborted')) = (num_nulls(ended_at, ended_by, end_reason) = 0))
);
-- One rollout of a job at a time.
create unique index rollout_under_way on portcullis_control.rollout (job) where status in ('running', 'paused');
create index rollout_newest on portcullis_control.rollout (job, started_at desc);

-- A region's part of a rollout.
create table portcullis_control.rollout_part (
  rollout       uuid not null references portcullis_control.rollout,
  region        text not null,
  -- The step, from 0, whose share the region has; -1 before its first.
  step          smallint not null default -1 check (step >= -1),
  -- Since when, and under which revision of the flag. Evidence counts from there.
  since         timestamptz,
  flag_revision bigint,
  -- What the flag gave to other versions before, in their order: [{"version": …, "permille": …}].
  base          jsonb,
  done_at       timestamptz,
  -- Who spared it the bake of this step, and why.
  waived_by     text,
  waived_reason text,
  primary key (rollout, region),
  check (num_nulls(since, flag_revision, base) in (0, 3)),
  check ((step >= 0) = (since is not null)),
  check (num_nulls(waived_by, waived_reason) in (0, 2))
);

-- What was decided, and on what evidence.
create table portcullis_control.rollout_event (
  rollout  uuid not null references portcullis_control.rollout,
  seq      integer not null,
  at       timestamptz not null,
  action   text not null,
  by       text not null,
  reason   text not null,
  evidence jsonb not null,
  primary key (rollout, seq)
);

-- That a second person agreed to a wave's beginning, and what they saw.
create table portcullis_control.rollout_approval (
  rollout       uuid not null references portcullis_control.rollout,
  wave          text not null,
  -- The request that was put to them.
  request       text not null references portcullis_control.approval,
  evidence      jsonb not null,
  evidence_hash text not null,
  approved_by   text,
  approved_at   timestamptz,
  -- Why it does not count any more, or was not given.
  lapsed_reason text,
  primary key (rollout, wave, request),
  check (num_nulls(approved_by, approved_at) in (0, 2))
);
