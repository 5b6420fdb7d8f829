-- The version's own epoch that a judged plan was admitted under, until its run begins or ends.
alter table portcullis_region.plan add column version_epoch bigint not null default 0;
