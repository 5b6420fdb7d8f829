-- The migrations that jobs bring, and the schemas that these made: what a job has here, with or without its code.
create table portcullis_store.job_migration (
  job    text not null,
  name   text not null,
  sha256 text not null,
  ran_at timestamptz not null default clock_timestamp(),
  primary key (job, name)
);
create table portcullis_store.job_schema (
  name text primary key,
  job  text not null
);
revoke all on portcullis_store.job_migration, portcullis_store.job_schema from public;

-- The tables of domain-claim were part of the platform's own schema: src/postgres/migrate.ts has the same list.
with moved as (
  delete from portcullis_store.migration m
  using (values
    ('region/002-directory.sql', '001-directory.sql'),
    ('region/008-product-use.sql', '002-product-use.sql'),
    ('region/022-host-names.sql', '003-host-names.sql')) as moves (was, name)
  where m.name = moves.was
  returning moves.name, m.sha256, m.ran_at
), recorded as (
  insert into portcullis_store.job_migration (job, name, sha256, ran_at)
  select 'domain-claim', name, sha256, ran_at from moved
  returning name
)
insert into portcullis_store.job_schema (name, job)
select 'directory', 'domain-claim' from recorded where name = '001-directory.sql';
