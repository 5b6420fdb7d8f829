-- A policy's invariant is asked through this function, as the guard's role, which owns it (src/store/logins.ts): inside
-- a function that runs as its owner PostgreSQL refuses every change of role. The query is one statement that returns
-- rows, since a loop takes nothing else, and changes nothing, since the function is stable. Answers how many rows the
-- query returned, up to one more than `most`, and the first few as text, none longer than `characters`.
create function portcullis_guard.ask(
  query text, keep integer, most integer, characters integer, out total integer, out evidence json)
language plpgsql stable security definer
set search_path = portcullis_guard, directory, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO'
set intervalstyle = 'iso_8601'
set extra_float_digits = 1
set bytea_output = 'hex'
as $$
declare
  answer record;
  kept json[] := '{}';
begin
  -- As when a dump was restored by another owner: without the guard's role this function would be a way around it.
  if not exists (select from portcullis_guard.reader where role = current_user) then
    raise insufficient_privilege using
      message = format('portcullis_guard.ask runs as %I, which is not the guard''s role', current_user),
      hint = 'start Portcullis with the owner''s login once: it gives the function back to the guard''s role';
  end if;
  total := 0;
  for answer in execute query loop
    total := total + 1;
    exit when total > most;
    if total <= keep then
      kept := kept || (
        select coalesce(json_object_agg(key, left(value, characters) order by ordinality), '{}')
        from json_each_text(row_to_json(answer)) with ordinality);
    end if;
  end loop;
  evidence := array_to_json(kept);
end $$;
revoke all on function portcullis_guard.ask from public;
