-- A token's holder has a role, and may be bound to regions (null: all). Tokens from before could do what an
-- operator can; the admin's was issued under that name.
alter table portcullis_control.api_token
  add column role text not null default 'operator'
    check (role in ('viewer', 'operator', 'approver', 'admin', 'worker')),
  add column regions text[] check (cardinality(regions) > 0);
update portcullis_control.api_token set role = 'admin' where name = 'admin';
alter table portcullis_control.api_token alter column role drop default;

-- Four eyes: what one principal asked for, and what a second one made of it.
create table portcullis_control.approval (
  -- 40 random bits in base32: short enough to be read out and typed.
  id             text primary key check (id ~ '^[a-z2-7]{8}$'),
  action         text not null,
  subject        text not null,
  -- Null: everywhere.
  region         text,
  reason         text not null,
  request        jsonb not null,
  requested_by   text not null,
  requested_at   timestamptz not null default clock_timestamp(),
  expires_at     timestamptz not null,
  decided_by     text check (decided_by <> requested_by),
  decided_at     timestamptz,
  decision       text check (decision in ('approve', 'reject')),
  carried_out_at timestamptz check (carried_out_at is null or decision = 'approve'),
  check (num_nulls(decided_by, decided_at, decision) in (0, 3))
);
create index approval_by_time on portcullis_control.approval (requested_at desc, id);
