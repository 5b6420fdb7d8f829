-- A job's invariants find its tables by their names alone: its schemas stand on the path that the query is read with. A
-- worker of the version before names none, and asks about domain-claim.
drop function portcullis_guard.ask(text, integer, integer, integer);
create function portcullis_guard.ask(
  query text, keep integer, most integer, characters integer, schemas text[] default array['directory'],
  out total integer, out evidence json)
language plpgsql stable security definer
set search_path = portcullis_guard, pg_temp
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
  -- Until this function ends. Names that both have are portcullis_guard's.
  perform set_config('search_path',
    array_to_string(array['portcullis_guard'] || array(select quote_ident(name) from unnest(schemas) name) || array['pg_temp'], ', '),
    true);
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
