-- A kill that came while the schema knew no named damage counts as damage since. One that names no run, and that was
-- contained when it began, has none.
update portcullis_control.incident_region set damaged = false
where damaged and first_run is null and since = contained_at;
