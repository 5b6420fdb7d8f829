-- Kills of gates that could not be reached. Any process that can reach one carries it out, whoever asked for it
-- and whether that process is still there or not.
create table portcullis_control.kill_wish (
  id            uuid primary key,
  job           text not null,
  region        text not null,
  -- Null: the job, whatever its version.
  version       text,
  restores_too  boolean not null,
  reason        text not null,
  wished_by     text not null,
  wished_at     timestamptz not null default clock_timestamp(),
  -- By when the last permit will have lapsed. Null: nobody can say.
  lapses_by     timestamptz,
  -- Who is trying has it until then; the others leave it alone.
  claimed_until timestamptz not null default '-infinity',
  tries         integer not null default 0,
  trouble       text not null,
  held_at       timestamptz
);
-- To ask twice is to ask once.
create unique index kill_wish_open on portcullis_control.kill_wish (job, region, coalesce(version, ''), restores_too)
  where held_at is null;
