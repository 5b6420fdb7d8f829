-- What the rules of a policy last said of a version while it bakes in a region.
create table portcullis_control.bake_verdict (
  job       text not null,
  region    text not null,
  version   text not null,
  rule      text not null,
  kind      text not null,
  verdict   text not null check (verdict in ('pass', 'fail', 'too-few', 'no-data', 'unreachable')),
  reason    text not null,
  figures   jsonb not null check (jsonb_typeof(figures) = 'object'),
  -- What the rule needs to know next time: since when its condition has held.
  state     jsonb not null default '{}',
  -- Since when it says so, and when it was last asked.
  since     timestamptz not null default clock_timestamp(),
  judged_at timestamptz not null default clock_timestamp(),
  primary key (job, region, version, rule)
);

-- Alerts as Alertmanager sent them, each firing once: it repeats them, and a repeat must not kill again what
-- two people have re-armed meanwhile.
create table portcullis_control.alert (
  fingerprint text not null,
  starts_at   timestamptz not null,
  job         text not null,
  -- Where it kills: the regions that its label names, or all.
  regions     text[] not null,
  name        text not null,
  labels      jsonb not null,
  annotations jsonb not null,
  received_at timestamptz not null default clock_timestamp(),
  -- When its gates had been dropped. Null: not everywhere yet, so the next repeat tries again.
  killed_at   timestamptz,
  resolved_at timestamptz,
  primary key (fingerprint, starts_at)
);
create index alert_by_job on portcullis_control.alert (job) where resolved_at is null;
create index alert_by_age on portcullis_control.alert (received_at);
