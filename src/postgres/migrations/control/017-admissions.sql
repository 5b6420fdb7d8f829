-- How far each version is admitted in a region. Whatever a flag says, no version acts there for more units than this.
create sequence portcullis_control.admission_revision;

create table portcullis_control.admission (
  job        text not null,
  region     text not null,
  version    text not null,
  -- Thousandths of the region's units. A row whose permille is 0 stays: it says that the version had an admission.
  permille   smallint not null check (permille between 0 and 1000),
  -- Grows with every change of this flag's admissions, in the order in which they commit.
  revision   bigint not null,
  -- What gave it, or took it away.
  source     text not null check (source in ('upgrade', 'initial', 'rollout', 'cleared')),
  reason     text not null,
  changed_by text not null,
  changed_at timestamptz not null default clock_timestamp(),
  primary key (job, region, version)
);

-- The flag's row is locked first, so that revisions are drawn in the order in which the changes commit.
create function portcullis_control.admission_written() returns trigger language plpgsql as $$
begin
  perform from portcullis_control.flag where job = new.job and region = new.region for update;
  new.revision := nextval('portcullis_control.admission_revision');
  new.changed_at := clock_timestamp();
  perform pg_notify('portcullis_flag', 'admission ' || new.revision);
  return new;
end $$;
create trigger admission_written before insert or update on portcullis_control.admission
  for each row execute function portcullis_control.admission_written();

-- The shares in force when admissions came. What the other versions had before a rollout that is under way counts too:
-- an abort gives it back to them.
insert into portcullis_control.admission (job, region, version, permille, source, reason, changed_by)
select job, region, version, least(max(whole.permille), 1000), 'upgrade', 'the share in force at the upgrade', 'system:upgrade'
from (
  select f.job, f.region, v ->> 'version' as version, v ->> 'permille' as permille
  from portcullis_control.flag f
  cross join lateral jsonb_array_elements(case jsonb_typeof(f.variants) when 'array' then f.variants else '[]' end) v
  union all
  select r.job, p.region, v ->> 'version', v ->> 'permille'
  from portcullis_control.rollout r
  join portcullis_control.rollout_part p on p.rollout = r.id
  cross join lateral jsonb_array_elements(case jsonb_typeof(p.base) when 'array' then p.base else '[]' end) v
  where r.ended_at is null
) given
cross join lateral (select case when given.permille ~ '^[0-9]{1,4}$' then given.permille::integer end as permille) whole
where version is not null and whole.permille > 0
group by job, region, version;
