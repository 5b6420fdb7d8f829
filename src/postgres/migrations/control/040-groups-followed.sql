-- How a session by the identity provider follows the groups of its person: by a refresh token, where the provider gives
-- one. It is sealed with the client's secret, which is in no database.
alter table portcullis_control.session
  add column refresh         text check (refresh is null or issuer is not null),
  -- When the provider last said which groups its person is in.
  add column groups_at       timestamptz not null default clock_timestamp(),
  -- When a process last began to ask it: a refresh token may be good once.
  add column groups_asked_at timestamptz;
