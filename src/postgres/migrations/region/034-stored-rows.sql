-- Rows as the database stored them, where that is not what their change says: a trigger made something else of them, or
-- the database gave them their key. Written with the change's batch, and never changed afterwards.
create table portcullis_region.stored (
  run   uuid not null,
  lane  smallint not null,
  seq   integer not null,
  -- The key that the database gave; null where the change has it.
  key   text,
  -- The declared columns, as a change's images have them; null where they are as planned.
  image jsonb,
  primary key (run, lane, seq)
);
-- The way from a row to the change that made it.
create index stored_by_key on portcullis_region.stored (key) where key is not null;
