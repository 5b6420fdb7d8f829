-- A version is named 1.0.0_9f3c2a1b, where it was 1.0.0+9f3c2a1b: Unleash and others refuse the plus. Whatever Portcullis
-- says of versions is rewritten, so that what it shows is what it goes by. What others wrote or what a hash covers stays as
-- it is: the audit log, alerts as they came, and the evidence that a person approved. The digests are always eight digits.
do $$
declare
  name constant text := '(?<![0-9A-Za-z.])(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)\+([0-9a-f]{8})(?![0-9A-Za-z])';
  place record;
begin
  -- A flag keeps its revision: what it allows is the same.
  alter table portcullis_control.flag disable trigger flag_written;
  for place in
    select c.table_name, c.column_name, c.data_type
    from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'portcullis_control' and t.table_type = 'BASE TABLE'
      and (c.data_type = 'jsonb' or c.data_type = 'text' and (c.column_name in ('version', 'key', 'subject', 'title', 'trouble', 'conclusion')
           or c.column_name ~ '(^|_)reason$'))
      and c.table_name not in ('audit', 'alert')
      and (c.table_name, c.column_name) not in (('rollout_approval', 'evidence'), ('approval', 'request'))
  loop
    execute case
      when place.column_name = 'version' then
        format('update portcullis_control.%1$I set version = replace(version, ''+'', ''_'') where version like ''%%+%%''', place.table_name)
      when place.data_type = 'jsonb' then
        format('update portcullis_control.%1$I set %2$I = regexp_replace(%2$I::text, %3$L, ''\1_\2'', ''g'')::jsonb where %2$I::text ~ %3$L',
          place.table_name, place.column_name, name)
      else
        format('update portcullis_control.%1$I set %2$I = regexp_replace(%2$I, %3$L, ''\1_\2'', ''g'') where %2$I ~ %3$L',
          place.table_name, place.column_name, name)
    end;
  end loop;
  update portcullis_control.approval set request = regexp_replace(request::text, name, '\1_\2', 'g')::jsonb
  where not request ? 'evidenceHash' and request::text ~ name;
  alter table portcullis_control.flag enable trigger flag_written;
end $$;
