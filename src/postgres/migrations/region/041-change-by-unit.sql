-- The way from a unit to the runs that planned a change for it.
create index change_by_unit on portcullis_region.change (unit, run);
