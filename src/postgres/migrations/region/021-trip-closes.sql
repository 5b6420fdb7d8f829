-- A trip closes the version that failed, by its own epoch, or the region's gate.
alter table portcullis_region.trip
  -- What the policy, or whose evidence it is, asks for; and why.
  add column close text not null default 'region' check (close in ('candidate', 'region')),
  add column close_why text not null default '',
  -- What it has closed, or is about to: a candidate alone only where it is one. Null: not decided yet.
  add column closed text check (closed in ('candidate', 'region')),
  add column closed_why text not null default '';
update portcullis_region.trip set closed = 'region' where fenced_at is not null;
