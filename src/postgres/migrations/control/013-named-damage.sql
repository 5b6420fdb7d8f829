-- Damage is what a rule or a person names: until then, no run of the region belongs to the incident.
alter table portcullis_control.incident_region add column damaged boolean not null default true;

-- A drill is a kill for practice. It is an incident of its own: nothing real joins it, and it joins nothing real.
alter table portcullis_control.incident add column drill boolean not null default false;
drop index portcullis_control.incident_unclosed;
create unique index incident_unclosed on portcullis_control.incident (job, coalesce(version, ''), drill)
  where state <> 'closed';

alter table portcullis_control.kill_wish add column drill boolean not null default false;
