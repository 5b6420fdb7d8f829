-- Rows that the database deletes, or sets to null or a default, with a row that a change deletes: whole, as they were.
-- Written with the change's batch, and never changed afterwards.
create table portcullis_region.cascaded (
  run        uuid not null,
  lane       smallint not null,
  seq        integer not null,
  -- The foreign key by which they go; those of deeper tables have greater numbers.
  branch     smallint not null,
  key        text not null,
  "table"    text not null,
  "constraint" text not null,
  image      jsonb not null,
  primary key (run, lane, seq, branch, key)
);
