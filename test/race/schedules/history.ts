import type pg from 'pg';

/**
 * What the test database remembers by itself, whatever the product writes down. `tick` counts commits: taken
 * by triggers that are deferred to the very end of a transaction, while the locks that order it are still held.
 */
export async function keepHistory(owner: pg.Pool): Promise<void> {
  await owner.query(HISTORY);
}

const HISTORY = `
create schema history;
create sequence history.tick;
create function history.process() returns text language sql as $$
  select coalesce(nullif(current_setting('history.process', true), ''), current_setting('application_name'))
$$;

create table history.gate (
  tick bigint primary key, job text, region text, state text, epoch bigint, flag_revision bigint,
  variants jsonb, stopped boolean, reason text, version_epochs jsonb);
create index on history.gate (job);
create function history.version_epochs(text, text) returns jsonb language sql as $$
  select coalesce(jsonb_object_agg(version, epoch), '{}') from portcullis_region.version_epoch
  where job = $1 and region = $2
$$;
create function history.gate_moved() returns trigger language plpgsql security definer as $$
begin
  insert into history.gate values (nextval('history.tick'), new.job, new.region, new.state, new.epoch,
    new.flag_revision, new.variants, new.stopped, new.reason, history.version_epochs(new.job, new.region));
  return null;
end $$;
create constraint trigger history after insert or update on portcullis_region.gate
  deferrable initially deferred for each row execute function history.gate_moved();

create table history.run (tick bigint primary key, job text, id uuid, was text, status text, restore boolean);
create index on history.run (job);
create index on history.run (id);
create function history.run_moved() returns trigger language plpgsql security definer as $$
begin
  if tg_op = 'INSERT' or old.status <> new.status then
    insert into history.run values (nextval('history.tick'), new.job, new.id,
      case when tg_op = 'UPDATE' then old.status end, new.status, new.restores is not null);
  end if;
  return null;
end $$;
create constraint trigger history after insert or update on portcullis_region.run
  deferrable initially deferred for each row execute function history.run_moved();

-- Each batch: whether its gate was permitted when it came to the fence, and how things stood when it committed.
create table history.batch (
  txid xid8, run uuid, lane smallint, from_seq integer, to_seq integer, attempt integer, permitted boolean,
  tick bigint, process text, standing jsonb, primary key (run, lane, to_seq));
create index on history.batch (txid);
create function history.batch_fenced() returns trigger language plpgsql security definer as $$
begin
  insert into history.batch
  select pg_current_xact_id(), new.run, new.lane, new.from_seq, new.to_seq, new.attempt,
    g.permit_until > statement_timestamp(), null, history.process(), null
  from portcullis_region.run r join portcullis_region.gate g using (job, region) where r.id = new.run;
  return null;
end $$;
create trigger history_fenced after insert on portcullis_region.batch
  for each row execute function history.batch_fenced();
create function history.batch_committed() returns trigger language plpgsql security definer as $$
begin
  update history.batch b set tick = nextval('history.tick'), standing = jsonb_build_object(
    'job', r.job, 'region', r.region, 'version', r.version, 'restore', r.restores is not null,
    'epoch', r.gate_epoch, 'versionEpoch', r.version_epoch,
    'versionEpochNow', coalesce((history.version_epochs(r.job, r.region) ->> r.version)::bigint, 0), 'attempt', r.attempt, 'worker', r.worker, 'status', r.status,
    'judged', r.planned_at <= new.applied_at, 'laneAttempt', l.attempt,
    'gate', g.state, 'gateEpoch', g.epoch, 'stopped', g.stopped, 'variants', g.variants,
    'quarantined', exists (select from portcullis_region.quarantine q where q.job = r.job and q.version = r.version))
  from portcullis_region.run r join portcullis_region.gate g using (job, region)
    join portcullis_region.lane l on l.run = r.id
  where b.run = new.run and b.lane = new.lane and b.to_seq = new.to_seq and r.id = new.run and l.lane = new.lane;
  return null;
end $$;
create constraint trigger history_committed after insert on portcullis_region.batch
  deferrable initially deferred for each row execute function history.batch_committed();

-- Every version of every row. Whoever changes a row holds it until the end, so seq is the order per row.
create table history.account (
  seq bigserial primary key, txid xid8, process text, region text, id text, was jsonb, now jsonb);
create index on history.account (region);
create index on history.account (txid);
create function history.account_changed() returns trigger language plpgsql security definer as $$
begin
  insert into history.account (txid, process, region, id, was, now)
  values (pg_current_xact_id(), history.process(), coalesce(new.home_region, old.home_region),
    coalesce(new.id, old.id), case when tg_op <> 'INSERT' then to_jsonb(old) end,
    case when tg_op <> 'DELETE' then to_jsonb(new) end);
  return null;
end $$;
create trigger history after insert or update or delete on directory.account
  for each row execute function history.account_changed();

-- Kills as they were acknowledged to whoever ordered them.
create table history.acknowledged (
  tick bigint primary key, job text, region text, version text, restores_too boolean);
create index on history.acknowledged (job);
`;

/** Writes down that a kill has just been acknowledged. */
export async function acknowledge(
  owner: pg.Pool,
  kill: {
    readonly job: string;
    readonly region: string;
    readonly version: string | null;
    readonly all: boolean;
  },
): Promise<void> {
  await owner.query(`insert into history.acknowledged values (nextval('history.tick'), $1, $2, $3, $4)`, [
    kill.job,
    kill.region,
    kill.version,
    kill.all,
  ]);
}
