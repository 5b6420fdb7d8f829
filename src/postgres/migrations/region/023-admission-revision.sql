-- The newest revision of the flag's admissions that the gate has seen: a worker whose admissions are older re-opens nothing.
alter table portcullis_region.gate add column admission_revision bigint not null default 0;
