-- What triggers do to the rows of a run, and what goes with the rows that it deletes.
alter table portcullis_region.plan
  -- {"session": 72}: rows that go with planned ones, by the kind of the change.
  add column cascading jsonb,
  -- {"fire": […], "trial": …}: the triggers that fire on what is planned, and what a dry run saw of them.
  add column triggers jsonb;
alter table portcullis_region.run
  add column cascading jsonb,
  -- The same of rows that went.
  add column cascaded jsonb,
  add column triggers jsonb,
  -- What of a run a restore restores: {"resources": […], "units": […], "keys": ["account:a-17"]}; null: everything.
  add column part jsonb;
