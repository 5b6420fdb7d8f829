-- Requests of Slack that were taken, by the hash of their signatures: for as long as one that is sent again would be taken.
create table portcullis_control.slack_request (
  sha256 bytea primary key check (octet_length(sha256) = 32),
  at     timestamptz not null default clock_timestamp()
);
create index slack_request_by_time on portcullis_control.slack_request (at);
