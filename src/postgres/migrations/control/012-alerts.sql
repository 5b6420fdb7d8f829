-- An alert fires until it is resolved, cleared by a person, or not sent again in time.
alter table portcullis_control.alert
  -- Moved ahead by each repeat, so that what nobody repeats does not fire for ever.
  add column fires_until timestamptz not null default clock_timestamp() + interval '24 hours',
  -- When it ended, as its resolution says: a firing that began before it and comes later is over.
  add column ended_at timestamptz,
  add column cleared_at timestamptz,
  add column cleared_by text,
  add column clear_reason text,
  add check (num_nulls(cleared_at, cleared_by, clear_reason) in (0, 3));
update portcullis_control.alert set fires_until = received_at + interval '24 hours';
