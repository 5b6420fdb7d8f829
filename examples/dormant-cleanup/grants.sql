-- What the job's roles need, and no more: the planner reads, the worker writes what the job declares. Run after
-- `portcullis migrate`, which makes the roles, by the owner of the tables.
do $$
declare
  planner name;
  worker name;
begin
  select role into strict planner from portcullis_store.login where login = 'planner';
  select role into strict worker from portcullis_store.login where login = 'worker';
  execute format('grant usage on schema public to %I, %I', planner, worker);
  execute format('grant select on public.tenants, public.customers, public.sessions to %I, %I', planner, worker);
  execute format('grant update (standing) on public.customers to %I', worker);
  execute format('grant insert, delete on public.sessions to %I', worker);
end $$;
