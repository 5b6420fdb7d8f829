-- Who did what, on what evidence, under which revision of the flags. Each entry's hash covers the hash before
-- it and the entry's canonical JSON (src/audit/chain.ts), so that none can be changed, taken out or put in
-- unnoticed. `seq` is counted under a lock and not by a sequence: it has no gaps, so a gap means a removal.
create table portcullis_control.audit (
  seq           bigint primary key check (seq > 0),
  at            timestamptz not null,
  principal     text not null check (principal <> ''),
  action        text not null check (action <> ''),
  subject       text not null check (subject <> ''),
  evidence      jsonb not null check (jsonb_typeof(evidence) = 'object'),
  flag_revision bigint,
  prev          bytea not null unique check (octet_length(prev) = 32),
  hash          bytea not null unique check (octet_length(hash) = 32)
);
create index audit_by_subject on portcullis_control.audit (subject, seq desc);
create index audit_by_principal on portcullis_control.audit (principal, seq desc);

create function portcullis_control.audit_refuses() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only: % is refused', lower(tg_op)
    using errcode = 'restrict_violation';
end $$;
-- Per statement, so that one which would touch no row is refused too.
create trigger audit_append_only before update or delete or truncate on portcullis_control.audit
  for each statement execute function portcullis_control.audit_refuses();
-- Also where session_replication_role would leave ordinary triggers out.
alter table portcullis_control.audit enable always trigger audit_append_only;
