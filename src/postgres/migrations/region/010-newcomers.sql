-- Whom a run was for, as buckets of its flag: [[0, 20]] is above 0 and up to 20. Null where buckets do not tell, and for
-- runs from before this was kept: they count as having been for everybody.
alter table portcullis_region.run
  add column covered jsonb check (jsonb_typeof(covered) = 'array'),
  -- Those of them that no history knew then, and what was planned for them, which teaches nothing:
  -- {"buckets": [[20, 100]], "admitted": 4, "changes": {"claim": 120}, "units": {"claim": 3}}. Null: there were none.
  add column newcomers jsonb check (jsonb_typeof(newcomers) = 'object');
