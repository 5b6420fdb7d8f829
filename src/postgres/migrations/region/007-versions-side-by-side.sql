-- While a version is rolled out, it and the one before each act for their own organisations: each may have a run
-- at the same time.
drop index portcullis_region.run_active;
create unique index run_active on portcullis_region.run (job, region, version)
  where status in ('planning', 'applying') and not dry_run and restores is null;
-- For a rollout's evidence: the runs of a version in a region, by the flag revision they were admitted under.
create index run_by_version on portcullis_region.run (job, region, version, flag_revision);
