-- Where notifications go, as the processes that send them have it in their configuration: no addresses, no secrets.
create table portcullis_control.receiver (
  name       text primary key,
  kind       text not null check (kind in ('webhook', 'slack', 'pagerduty')),
  -- Where it is, as far as that may be shown: a host, or a channel.
  target     text not null,
  -- What it gets; null: everything.
  severities text[],
  kinds      text[],
  jobs       text[],
  -- When a process that sends to it last said so.
  seen_at    timestamptz not null default clock_timestamp()
);
create index delivery_by_receiver on portcullis_control.delivery (receiver, ended_at desc);
-- Of the closing of incidents, and of what must not overtake what was told of the same incident before.
create index notice_by_incident on portcullis_control.notice ((details ->> 'incident')) where details ? 'incident';
