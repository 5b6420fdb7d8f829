-- What a person accepted is remembered for 400 days, and each plan asks for it.
create index run_accepted_by_place on portcullis_region.run (job, region, created_at) where accepted_at is not null;
