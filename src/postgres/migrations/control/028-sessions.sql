-- Who is signed in to the console: a browser's cookie, of which only the hash is kept. A session acts as the token that it
-- was begun with, and ends when that is revoked or replaced (then it has another id).
create table portcullis_control.session (
  id           uuid primary key default gen_random_uuid(),
  sha256       bytea not null unique check (octet_length(sha256) = 32),
  token        uuid not null,
  created_at   timestamptz not null default clock_timestamp(),
  last_used_at timestamptz not null default clock_timestamp()
);
create index session_by_token on portcullis_control.session (token);

-- Codes that stand in for a token once, within seconds, so that a token is in no link.
create table portcullis_control.sign_in_code (
  sha256     bytea primary key check (octet_length(sha256) = 32),
  token      uuid not null,
  expires_at timestamptz not null
);
