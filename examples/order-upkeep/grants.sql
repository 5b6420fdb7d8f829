-- What the job's roles need, and no more. Run after `portcullis migrate`, which makes the roles, by the owner of the tables.
do $$
declare
  planner name;
  worker name;
begin
  select role into strict planner from portcullis_store.login where login = 'planner';
  select role into strict worker from portcullis_store.login where login = 'worker';
  execute format('grant usage on schema shop to %I, %I', planner, worker);
  execute format('grant select on shop.tenants, shop.orders, shop.sessions, shop.reminders to %I, %I', planner, worker);
  execute format('grant update on shop.orders to %I', worker);
  execute format('grant insert, update, delete on shop.reminders to %I', worker);
  execute format('grant usage on sequence shop.reminders_id_seq to %I', worker);
  execute format('grant insert, update, delete on shop.sessions to %I', worker);
  execute format('grant select, insert, update on shop.events, shop.notes, shop.tabs to %I', worker);
end $$;
