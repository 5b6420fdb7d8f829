-- How many units a plan touches, beside how many changes: {"claim": 3}. Null for runs that were planned before
-- this was counted, and for restores: nobody knows, and so such a run teaches no rule that counts units.
alter table portcullis_region.run
  add column planned_units jsonb check (jsonb_typeof(planned_units) = 'object');
