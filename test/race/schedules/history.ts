import type pg from 'pg';
import { lockGate } from '../../../src/gate/lock.js';
import { inTransaction } from '../../../src/postgres/pool.js';

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

-- Which database a stage takes its own for; a failover raises it. Workers, people and operators of a stage ask with one
-- answer, as they would of one server.
create table history.timeline (stage text primary key, n integer not null);
create function history.identity(of text) returns text language sql stable as $$
  select concat('test/', of, coalesce((select '.' || n from history.timeline where stage = of), ''))
$$;
create or replace function portcullis_region.database_identity() returns text
language sql stable security definer as $$
  select history.identity(substring(history.process() from '^portcullis ([a-z0-9]+) '))
$$;
create function history.confirmed() returns boolean language sql as $$
  select exists (select from portcullis_region.confirmed_database
                 where identity = portcullis_region.database_identity())
$$;

create table history.gate (
  tick bigint primary key, job text, region text, state text, epoch bigint, flag_revision bigint,
  variants jsonb, stopped boolean, reason text, version_epochs jsonb, confirmed boolean);
create index on history.gate (job);
create function history.version_epochs(text, text) returns jsonb language sql as $$
  select coalesce(jsonb_object_agg(version, epoch), '{}') from portcullis_region.version_epoch
  where job = $1 and region = $2
$$;
create function history.gate_moved() returns trigger language plpgsql security definer as $$
begin
  insert into history.gate values (nextval('history.tick'), new.job, new.region, new.state, new.epoch,
    new.flag_revision, new.variants, new.stopped, new.reason, history.version_epochs(new.job, new.region),
    history.confirmed());
  return null;
end $$;
create constraint trigger history after insert or update on portcullis_region.gate
  deferrable initially deferred for each row execute function history.gate_moved();

create table history.run (
  tick bigint primary key, job text, id uuid, was text, status text, code text, restore boolean);
create index on history.run (job);
create index on history.run (id);
create function history.run_moved() returns trigger language plpgsql security definer as $$
begin
  if tg_op = 'INSERT' or old.status <> new.status then
    insert into history.run values (nextval('history.tick'), new.job, new.id,
      case when tg_op = 'UPDATE' then old.status end, new.status, new.reason_code, new.restores is not null);
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
    'confirmed', history.confirmed(), 'gate', g.state, 'gateEpoch', g.epoch, 'stopped', g.stopped, 'variants', g.variants,
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

-- Who has changed a job's policy and flags.
create table history.control (tick bigint primary key, job text, what text, by text);
create index on history.control (job);
create function history.policy_changed() returns trigger language plpgsql as $$
begin
  insert into history.control values (nextval('history.tick'), new.job, 'policy', new.applied_by);
  return null;
end $$;
create constraint trigger history after insert or update on portcullis_control.policy
  deferrable initially deferred for each row execute function history.policy_changed();
create function history.flag_changed() returns trigger language plpgsql as $$
begin
  insert into history.control values (nextval('history.tick'), new.job, 'flag of ' || new.region, new.changed_by);
  return null;
end $$;
create constraint trigger history after insert or update on portcullis_control.flag
  deferrable initially deferred for each row execute function history.flag_changed();

-- Kills as they were acknowledged to whoever ordered them.
create table history.acknowledged (
  tick bigint primary key, job text, region text, version text, restores_too boolean);
create index on history.acknowledged (job);
`;

/** Makes the database another one for a stage from one moment on: under the locks of these gates, so that no batch is in flight. */
export async function failOver(
  owner: pg.Pool,
  stage: string,
  gates: readonly { readonly job: string; readonly region: string }[],
): Promise<void> {
  await inTransaction(owner, async (client) => {
    for (const { job, region } of gates) await lockGate(client, job, region, 'exclusive');
    await client.query(
      `insert into history.timeline (stage, n) values ($1, 1)
       on conflict (stage) do update set n = timeline.n + 1`,
      [stage],
    );
  });
}

/** Has a stage's database be the one that permits hold on, as migrating makes it, and forgets its failovers. */
export async function confirmAtFirst(owner: pg.Pool, stage: string): Promise<void> {
  await owner.query(
    `with forgotten as (
       delete from history.timeline where stage = $1
     ), others as (
       delete from portcullis_region.confirmed_database where starts_with(identity, 'test/' || $1 || '.')
     )
     insert into portcullis_region.confirmed_database (identity, confirmed_by, reason)
     values ('test/' || $1, 'the test', 'a schedule begins') on conflict do nothing`,
    [stage],
  );
}

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
