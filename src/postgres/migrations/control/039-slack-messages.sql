-- Where a notice stands in Slack, so that its message can say what has become of it since.
create table portcullis_control.slack_message (
  notice       uuid not null references portcullis_control.notice on delete cascade,
  receiver     text not null,
  -- As Slack answered when it was posted: its address for `chat.update`.
  channel      text not null,
  ts           text not null,
  -- What was done by its buttons, as lines of the message.
  done         text[] not null default '{}',
  attempts     integer not null default 0,
  -- When to try next to bring it up to date.
  due_at       timestamptz not null default clock_timestamp(),
  last_problem text,
  -- When its request was over and the message said so, or was given up; null: its request may still be decided.
  settled_at   timestamptz,
  primary key (notice, receiver)
);
create index slack_message_open on portcullis_control.slack_message (due_at) where settled_at is null;
