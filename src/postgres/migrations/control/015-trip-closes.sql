-- What a trip has closed: the version that failed, or the region's gate.
alter table portcullis_control.trip
  add column closed text not null default 'region' check (closed in ('candidate', 'region'));
