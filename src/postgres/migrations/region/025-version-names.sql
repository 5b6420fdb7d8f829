-- A version is named 1.0.0_9f3c2a1b, where it was 1.0.0+9f3c2a1b: see control/021-version-names.sql. What a job planned and
-- what became of it is the job's own, and stays as it is: changes, conflicts, and what units were reported with.
-- A kill that came while the names changed may have quarantined a version under both.
delete from portcullis_region.quarantine q using portcullis_region.quarantine now
where q.version like '%+%' and now.job = q.job and now.version = replace(q.version, '+', '_');

do $$
declare
  name constant text := '(?<![0-9A-Za-z.])(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)\+([0-9a-f]{8})(?![0-9A-Za-z])';
  place record;
begin
  for place in
    select c.table_name, c.column_name, c.data_type
    from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'portcullis_region' and t.table_type = 'BASE TABLE'
      and (c.data_type = 'jsonb' or c.data_type = 'text' and (c.column_name = 'version' or c.column_name ~ '(^|_)(reason|why)$'))
      and c.table_name not in ('change', 'conflict')
  loop
    execute case
      when place.column_name = 'version' then
        format('update portcullis_region.%1$I set version = replace(version, ''+'', ''_'') where version like ''%%+%%''', place.table_name)
      when place.data_type = 'jsonb' then
        format('update portcullis_region.%1$I set %2$I = regexp_replace(%2$I::text, %3$L, ''\1_\2'', ''g'')::jsonb where %2$I::text ~ %3$L',
          place.table_name, place.column_name, name)
      else
        format('update portcullis_region.%1$I set %2$I = regexp_replace(%2$I, %3$L, ''\1_\2'', ''g'') where %2$I ~ %3$L',
          place.table_name, place.column_name, name)
    end;
  end loop;
end $$;
