-- Who a person is at the company's identity provider, and at those that vouch for workflows: the issuer's URL and the
-- subject that it never gives to anybody else. Role, regions and groups are as of the last sign-in; null: none so far.
create table portcullis_control.identity (
  issuer       text not null,
  subject      text not null,
  person       uuid not null references portcullis_control.person,
  role         text check (role in ('viewer', 'operator', 'approver', 'admin')),
  regions      text[] check (cardinality(regions) > 0),
  groups       text[] not null default '{}',
  signed_in_at timestamptz,
  linked_at    timestamptz not null default clock_timestamp(),
  linked_by    text not null,
  primary key (issuer, subject),
  check ((role is null) = (signed_in_at is null))
);
create index identity_by_person on portcullis_control.identity (person);

alter table portcullis_control.person
  drop constraint person_known_by_check,
  add constraint person_known_by_check
    check (known_by in ('first-start', 'upgrade', 'code', 'recovery', 'sample', 'provider'));

-- A session acts as a token, or, where the identity provider vouched for a person, with what their groups gave them.
alter table portcullis_control.session
  alter column token drop not null,
  add column issuer  text,
  add column subject text,
  -- The provider's own session, which it names when it ends.
  add column sid     text,
  add foreign key (issuer, subject) references portcullis_control.identity on delete cascade,
  add check ((token is null) = (issuer is not null and subject is not null));
create index session_by_identity on portcullis_control.session (issuer, subject);
