-- Roles that Portcullis made bear a mark: src/store/logins.ts.
create table if not exists portcullis_store.login (
  login    text primary key,
  role     text not null,
  password text
);
revoke all on portcullis_store.login from public;
alter table portcullis_store.login
  -- Made by the database, read by the owner's login alone. Null: the role cannot log in, or a DBA has set its password.
  alter column password drop not null,
  -- Stands in the role's comment too, beside this database's oid: what bears it was made for this database.
  add column if not exists mark uuid;

-- What was granted to the roles last, as a digest: where it is the same, a start grants nothing.
create table if not exists portcullis_store.granted (
  one    boolean primary key default true check (one),
  digest text not null
);
revoke all on portcullis_store.granted from public;
