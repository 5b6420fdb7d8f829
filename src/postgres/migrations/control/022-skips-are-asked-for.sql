-- To skip a bake takes a second person, as a wave's beginning may: a request is for the one or the other.
alter table portcullis_control.rollout_approval
  add column kind text not null default 'wave' check (kind in ('wave', 'skip'));
-- Who agreed that `waived_by` skips the bake of this step. Null: nobody had to, in a release before.
alter table portcullis_control.rollout_part
  add column waived_approved text check (waived_approved is null or waived_by is not null);
