-- What went wrong, and what became of it. Its timeline is in the audit log, where the subject is its id.
create table portcullis_control.incident (
  -- 40 random bits in base32: short enough to be read out and typed.
  id           text primary key check (id ~ '^[a-z2-7]{8}$'),
  job          text not null,
  -- The version that is to blame; null while that is not known, as after a kill of the whole job.
  version      text,
  cause        text not null check (cause in ('trip', 'kill', 'manual', 'absence')),
  state        text not null check (state in ('open', 'contained', 'restoring', 'restored', 'closed')),
  -- By what its runs changed, as of the last look; null before the first.
  severity     text check (severity in ('critical', 'major', 'minor', 'averted')),
  title        text not null check (title <> ''),
  -- [{"at": …, "by": …, "cause": …, "title": …, "regions": […], "facts": {…}}]: what opened it, and what joined it.
  evidence     jsonb not null check (jsonb_typeof(evidence) = 'array'),
  opened_by    text not null,
  opened_at    timestamptz not null default clock_timestamp(),
  contained_at timestamptz,
  restored_at  timestamptz,
  closed_at    timestamptz,
  closed_by    text,
  -- What a person found in the end, and whether it was nothing.
  conclusion   text,
  false_alarm  boolean not null default false,
  check ((state = 'closed') = (closed_at is not null)),
  check (num_nulls(closed_at, closed_by, conclusion) in (0, 3))
);
create index incident_by_time on portcullis_control.incident (opened_at desc, id);
-- One cause makes one incident: until it is closed, whatever befalls that version again joins it.
create unique index incident_unclosed on portcullis_control.incident (job, coalesce(version, ''))
  where state <> 'closed';

-- Where it happened, and from when to when: what the version's runs changed in between belongs to it.
create table portcullis_control.incident_region (
  incident     text not null references portcullis_control.incident,
  region       text not null,
  -- The first bad run, where it is known, and when it was elected by the clock of the region's database.
  first_run    uuid,
  since        timestamptz not null,
  -- From when on none of its runs could commit any more, by the same clock; null while some may.
  contained_at timestamptz,
  primary key (incident, region)
);
