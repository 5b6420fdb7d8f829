-- A region that is held for a year has tens of thousands of held runs before the newest other one.
create index run_newest_not_held on portcullis_region.run (created_at desc, id) where status <> 'held';
