-- Who holds tokens. Four eyes count people, across all their tokens.
create table portcullis_control.person (
  id              uuid primary key default gen_random_uuid(),
  name            text not null unique,
  -- What the token may do that the person redeems a code for; null regions: everywhere.
  role            text not null check (role in ('viewer', 'operator', 'approver', 'admin')),
  regions         text[] check (cardinality(regions) > 0),
  added_at        timestamptz not null default clock_timestamp(),
  added_by        text not null,
  -- The people who gave the code, or know the token that gave it.
  introduced_by   uuid[] not null default '{}',
  -- How it is known that they are somebody; null: they have not redeemed their code.
  known_by        text check (known_by in ('first-start', 'upgrade', 'code', 'recovery', 'sample')),
  known_since     timestamptz,
  code_sha256     bytea unique check (octet_length(code_sha256) = 32),
  code_expires_at timestamptz,
  removed_at      timestamptz,
  check (num_nulls(known_by, known_since) in (0, 2)),
  check (num_nulls(code_sha256, code_expires_at) in (0, 2))
);

-- Null person: a machine's. `hands`: the people who know the token, or may: its person, and whoever issued it.
alter table portcullis_control.api_token
  add column person uuid references portcullis_control.person,
  add column hands uuid[] not null default '{}';

-- Tokens from before: a worker's is a machine's, and every other name is one person, who may approve as before. Who
-- issued it is on record, and is shown with what that person approves.
insert into portcullis_control.person (name, role, regions, added_at, added_by, known_by, known_since, removed_at)
select name, role, regions, created_at, 'system:upgrade', 'upgrade', clock_timestamp(), revoked_at
from portcullis_control.api_token where role <> 'worker';

update portcullis_control.api_token t set person = p.id, hands = array[p.id]
from portcullis_control.person p where p.name = t.name;

-- Whoever worked at the machine without a token counted as the admin.
update portcullis_control.person p set introduced_by = array[i.id], added_by = issued.principal
from (
  select distinct on (subject) subject, principal from portcullis_control.audit
  where action = 'issue-token' order by subject, seq desc
) issued join portcullis_control.person i
  on i.name = case when issued.principal like 'local:%' then 'admin' else issued.principal end
where p.name = issued.subject and i.id <> p.id and p.name <> 'admin';

alter table portcullis_control.approval
  -- The person whose token asked; null: a machine's, or nobody's.
  add column requested_person text,
  add column requested_hands uuid[] not null default '{}',
  add column decided_person text,
  -- As they were when it was approved: who introduced the approver, and what speaks against their being two.
  add column introduced_by text,
  add column caution text,
  -- When it approves itself unless somebody cancels it; null: it takes a second person.
  add column alone_at timestamptz;

update portcullis_control.approval a set requested_person = p.name, requested_hands = array[p.id]
from portcullis_control.person p
where p.name = case when a.requested_by like 'local:%' then 'admin' else a.requested_by end;

-- Who asked may cancel what would approve itself; nobody approves what they asked for.
do $$
declare
  found text;
begin
  for found in
    select conname from pg_constraint
    where conrelid = 'portcullis_control.approval'::regclass and contype = 'c'
      and pg_get_constraintdef(oid) like '%decided_by <> requested_by%'
  loop
    execute format('alter table portcullis_control.approval drop constraint %I', found);
  end loop;
end $$;
alter table portcullis_control.approval
  add constraint approval_by_another check (decision is distinct from 'approve' or decided_by <> requested_by);

alter table portcullis_control.rollout add column started_hands uuid[] not null default '{}';
update portcullis_control.rollout r set started_hands = array[p.id]
from portcullis_control.person p
where p.name = case when r.started_by like 'local:%' then 'admin' else r.started_by end;
