-- Values that one row may have in all regions' databases together: which row has each, or is about to. See
-- src/worker/reservations.ts.
create table portcullis_control.reservation (
  job      text not null,
  resource text not null,
  value    text not null,
  -- The database of the row: `control`, or the variable that holds its address.
  place    text not null,
  key      text not null,
  -- The run that may write the row and of which it is not known yet whether it has; null: the row has the value.
  run      uuid,
  -- Another one after each write: whoever looked before has not seen that.
  revision uuid not null default gen_random_uuid(),
  at       timestamptz not null default clock_timestamp(),
  primary key (job, resource, value)
);
create index reservation_by_place on portcullis_control.reservation (place, job, resource, value);
create index reservation_pending on portcullis_control.reservation (place, run) where run is not null;

-- The regions whose rows have been read: until all of a job's have been, nothing is reserved.
create table portcullis_control.reserved_region (
  job      text not null,
  resource text not null,
  region   text not null,
  read_at  timestamptz not null default clock_timestamp(),
  primary key (job, resource, region)
);
