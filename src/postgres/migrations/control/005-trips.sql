-- Trips as the control plane has carried them out: flags, incident and notice, each once.
create table portcullis_control.trip (
  id          uuid primary key,
  job         text not null,
  region      text not null,
  version     text,
  run         uuid,
  stage       text not null check (stage in ('plan', 'apply', 'bake')),
  failed      jsonb not null,
  incident    text not null references portcullis_control.incident,
  at          timestamptz not null,
  fenced_at   timestamptz not null,
  recorded_at timestamptz not null default clock_timestamp()
);
create index trip_by_job on portcullis_control.trip (job, at desc);
