-- How many writing transactions of an act have committed in this database: each counts itself here before it commits,
-- and so cannot commit once another process has taken the claim. See src/operations/idempotency.ts.
alter table portcullis_control.idempotency_key add commits integer not null default 0;
