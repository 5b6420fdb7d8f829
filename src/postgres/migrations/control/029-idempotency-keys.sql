-- Acts over HTTP that came with an Idempotency-Key: claimed before the act, settled with its answer; see
-- src/operations/idempotency.ts.
create table portcullis_control.idempotency_key (
  -- The id of the token that called: another caller's key is another key.
  caller       text not null,
  key          text not null check (length(key) between 1 and 200),
  operation    text not null,
  input_sha256 bytea not null,
  -- Of the process that carries it out.
  claim        uuid not null,
  begun_at     timestamptz not null default clock_timestamp(),
  -- Null: under way, or its process ended in the middle of it.
  settled_at   timestamptz,
  -- What it answered: {"status", "contentType", "body"}, or {"error"}; null where the answer held a secret.
  answer       jsonb,
  primary key (caller, key)
);
create index idempotency_key_by_time on portcullis_control.idempotency_key (begun_at);

-- The revision of each of its flags that a worker has heard, by region, when it last announced itself.
alter table portcullis_control.worker_version add flag_revisions jsonb not null default '{}';
