-- Who has put on record that they read which rows of people, page by page: once an hour over all processes. By the hash of
-- reader and rows.
create table portcullis_control.personal_read (
  sha256 bytea primary key check (octet_length(sha256) = 32),
  at     timestamptz not null default clock_timestamp()
);
create index personal_read_by_time on portcullis_control.personal_read (at);
