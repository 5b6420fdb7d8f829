-- Of requests for the same, one waits: whoever asks, and at whatever moment. A request of a rollout that lapsed asks for
-- nothing any more. The first number of the lock is NAMED_LOCKS.request of src/postgres/locks.ts.
create function portcullis_control.approval_waits_once() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(7020232, hashtext(new.action || ' ' || new.subject));
  if exists (
    select from portcullis_control.approval a
    where a.action = new.action and a.subject = new.subject and a.request = new.request
      and a.decision is null and a.expires_at > clock_timestamp()
      and not exists (
        select from portcullis_control.rollout_approval p where p.request = a.id and p.lapsed_reason is not null
      )
  ) then
    raise unique_violation using message = 'the same is requested already, and waits for a decision',
      schema = 'portcullis_control', table = 'approval', constraint = 'approval_waits_once';
  end if;
  return new;
end $$;
create trigger approval_waits_once before insert on portcullis_control.approval
  for each row execute function portcullis_control.approval_waits_once();
