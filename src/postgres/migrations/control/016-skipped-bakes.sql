-- The steps of a region whose bake was skipped, for ever: [{"step": 0, "by": "bob", "reason": "a fix"}].
alter table portcullis_control.rollout_part
  add column skipped jsonb not null default '[]' check (jsonb_typeof(skipped) = 'array');
