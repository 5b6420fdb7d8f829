-- What people are to be told. A notice is written in the transaction that it tells of, and sent by whichever
-- control plane comes first; each receiver's delivery is tried by itself until it is taken or given up.
create table portcullis_control.notice (
  id      uuid primary key,
  -- At most one notice with this key: two rules that trip at once tell one thing. Null: no such bound.
  key     text unique,
  kind    text not null check (kind <> ''),
  job     text,
  region  text,
  title   text not null check (title <> ''),
  lines   jsonb not null check (jsonb_typeof(lines) = 'array'),
  details jsonb not null check (jsonb_typeof(details) = 'object'),
  at      timestamptz not null default clock_timestamp(),
  -- When it was addressed to the receivers of that moment; null: to nobody yet.
  addressed_at timestamptz
);
create index notice_by_time on portcullis_control.notice (at desc, id);
create index notice_unaddressed on portcullis_control.notice (at) where addressed_at is null;

create table portcullis_control.delivery (
  notice       uuid not null references portcullis_control.notice on delete cascade,
  -- The host and a fingerprint of the URL: an address may be a secret itself.
  receiver     text not null,
  state        text not null default 'pending' check (state in ('pending', 'delivered', 'dead')),
  attempts     integer not null default 0,
  -- When to try next. Whoever tries moves it ahead first, so that nobody else does meanwhile.
  due_at       timestamptz not null default clock_timestamp(),
  -- What the last attempt met: an HTTP status, or what went wrong.
  last_problem text,
  ended_at     timestamptz check (ended_at is null or state <> 'pending'),
  primary key (notice, receiver)
);
create index delivery_due on portcullis_control.delivery (due_at) where state = 'pending';
