import type { InvariantRule } from '../../../src/flags/guard-policy.js';
import { CONFIRMED } from '../../../src/gate/database.js';
import type { Lead } from './generator.js';
import { AS_PLANNED, type Twist } from './world.js';

/** A bug as somebody might write it one day. It lives here and not in the product. */
export interface Plant {
  readonly bug: string;
  /** The promises of which it must be seen to break at least these. */
  readonly promises: readonly string[];
  /** By which ways its schedules come to where it shows. */
  readonly lead: Lead;
  readonly twist?: Twist;
  /** In the database, and how to take it out again. */
  readonly plant?: string;
  readonly dig?: string;
}

/** All of a job's conditions that the fence has on the gate. */
const OPEN_GATE = "g.state = 'open' and g.epoch = $8 and g.permit_until > clock_timestamp()";

/** Says something else in place of a piece of a statement. */
const instead =
  (piece: string, other: string) =>
  (sql: string): string =>
    sql.replaceAll(piece, other);

/** A kill fences twice: by the gate, and by the attempt of the lanes. */
const LANES_AS_THEY_WERE = instead(
  'update portcullis_region.lane set attempt = attempt + 1',
  'update portcullis_region.lane set attempt = attempt',
);

const EVERY_TIME: InvariantRule = {
  ...{ kind: 'invariant', name: AS_PLANNED.name, sql: AS_PLANNED.sql, timeoutMs: 30_000 },
};

export const PLANTS: readonly Plant[] = [
  {
    bug: 'a fence that ignores the epoch',
    promises: ['closed by default'],
    lead: { ways: ['close and open in mid-run'] },
    twist: { worker: instead('g.epoch = $8', 'g.epoch is not null') },
  },
  {
    bug: "a fence that ignores the version's own epoch",
    promises: ['closed by default'],
    lead: { ways: ['narrow and widen in mid-run'] },
    twist: { worker: instead(', 0) = $10', ', 0) >= 0 * $10') },
  },
  {
    bug: 'a fence that asks nobody whether the database is confirmed',
    promises: ['a person confirms a database'],
    lead: { ways: ['fail over in mid-run'] },
    twist: { worker: (sql) => (sql.includes('with moved as') ? sql.replace(CONFIRMED, 'true') : sql) },
  },
  {
    // The kill's own attempt on the lanes is all that is left then.
    bug: 'a kill that leaves the lanes as they were, with a fence that ignores epoch and state',
    promises: ['a kill is a fence'],
    lead: { ways: ['kill in mid-run'] },
    twist: {
      operator: LANES_AS_THEY_WERE,
      worker: instead(OPEN_GATE, 'g.epoch >= 0 * $8'),
    },
  },
  {
    bug: 'a fence that ignores the permit',
    promises: ['closed by default'],
    lead: { ways: ['let the permit lapse in mid-run'] },
    twist: { worker: instead('and g.permit_until > clock_timestamp()', '') },
  },
  {
    bug: 'a fence that ignores the attempt',
    promises: ['one owner'],
    lead: { ways: ['take over in mid-run'] },
    twist: { worker: instead('and l.attempt = $5', 'and $5::integer is not null') },
  },
  {
    bug: 'a takeover that forgets the lanes',
    promises: ['one owner'],
    lead: { ways: ['take over in mid-run'] },
    twist: {
      worker: instead(
        'update portcullis_region.lane set attempt = $2 where run = $1',
        'select $1::uuid, $2::integer',
      ),
    },
  },
  {
    bug: 'a compare-and-set that does not compare a column',
    promises: ['no user edit is lost'],
    lead: { ways: ['edit in mid-run'] },
    twist: { worker: (sql) => sql.replace(/t\."state" is not distinct from .+/, 'true') },
  },
  {
    bug: 'a reconcile that takes outdated news',
    promises: ['closed by default'],
    lead: { ways: ['carry old news'] },
    twist: {
      worker: instead('flag_revision as "flagRevision",', '0::bigint as "flagRevision",'),
    },
  },
  {
    bug: 'a kill that answers without waiting for batches in flight',
    promises: ['a kill is a fence'],
    lead: { ways: ['kill in mid-run'] },
    twist: {
      operator: instead('pg_advisory_xact_lock($1::integer, hashtext($2))', '$1::integer'),
    },
  },
  {
    bug: 'a kill that leaves the epoch as it was',
    promises: ['a kill is a fence'],
    lead: { ways: ['kill in mid-run'] },
    twist: {
      operator: instead(`set state = 'killed', epoch = g.epoch + 1`, `set state = 'killed', epoch = g.epoch`),
    },
  },
  {
    bug: 'a flag that un-kills',
    promises: ['a kill latches'],
    lead: { ways: ['kill and re-arm'] },
    twist: {
      worker: instead(
        'job, region, state, epoch,',
        `job, region, case state when 'killed' then 'held' else state end as state, epoch,`,
      ),
    },
  },
  {
    bug: 'a re-arm that loses who asked for it',
    promises: ['a kill latches'],
    lead: { ways: ['kill and re-arm'] },
    plant: `
      create function history.lose_the_asker() returns trigger language plpgsql as $$
      begin
        new.requested_by := 'token of ' || new.requested_by;
        new.requested_hands := '{}';
        return new;
      end $$;
      create trigger lose_the_asker before insert on portcullis_control.approval
        for each row execute function history.lose_the_asker()`,
    dig: `drop trigger lose_the_asker on portcullis_control.approval; drop function history.lose_the_asker()`,
  },
  {
    bug: 'a conflict that is written over all the same, on the quiet',
    promises: ['nothing unjournaled'],
    lead: { ways: ['edit in mid-run'] },
    plant: `
      create function history.write_on_the_quiet() returns trigger language plpgsql security definer as $$
      begin
        update directory.account a set state = 'EXCLUDED'
        from portcullis_region.change c
        where c.run = new.run and c.lane = new.lane and c.seq = new.seq and a.id = c.key and a.state <> 'EXCLUDED';
        return null;
      end $$;
      create trigger write_on_the_quiet after insert on portcullis_region.conflict
        for each row execute function history.write_on_the_quiet()`,
    dig: `drop trigger write_on_the_quiet on portcullis_region.conflict; drop function history.write_on_the_quiet()`,
  },
  {
    bug: 'a restore that leaves rows out',
    promises: ['a restore is exact'],
    lead: { ways: ['edit and restore'] },
    twist: {
      worker: instead(
        '(c.resource, c.key) not in (select resource, key from taken_back)',
        '(c.resource, c.key) not in (select resource, key from taken_back) and c.seq > 1',
      ),
    },
  },
  {
    bug: 'a restore that a stop of everything does not stop',
    promises: ['a kill is a fence'],
    lead: { ways: ['kill a restore'] },
    twist: {
      operator: LANES_AS_THEY_WERE,
      worker: instead('and not g.stopped', 'and (not g.stopped or $8::bigint is null)'),
    },
  },
  {
    bug: 'a version that acts for whoever is there',
    promises: ['a version acts within its share'],
    lead: { ways: ['carry old news'] },
    twist: { admit: (units) => new Set(units) },
  },
  {
    bug: 'a judge that knows no cap',
    promises: ['judged before the first write'],
    lead: { ways: ['take over in mid-run'], cap: true },
    twist: { policy: (policy) => ({ ...policy, guard: { ...policy.guard, caps: [] } }) },
  },
  {
    bug: 'a guard that reads the directory at another moment than the job',
    promises: ['judged as it was planned'],
    lead: { ways: ['edit in mid-run'] },
    twist: {
      worker: instead(
        'begin isolation level repeatable read read write',
        'begin isolation level read committed read write',
      ),
      // Not only in every third schedule.
      policy: (policy) => ({ ...policy, guard: { ...policy.guard, rules: [EVERY_TIME] } }),
    },
  },
  {
    bug: 'a takeover that begins what was refused',
    promises: ['judged before the first write'],
    lead: { ways: ['take over what is judged'], cap: true, begun: false },
    twist: {
      worker: instead(
        'select planned as counts, outcome',
        'select planned as counts, null::jsonb as outcome',
      ),
    },
  },
  {
    bug: 'a start that puts its files in force',
    promises: ['a restart changes nothing'],
    lead: { ways: ['restart with other files'] },
    // It takes every database for an empty one.
    twist: {
      operator: instead(
        'from portcullis_control.policy order by job',
        'from portcullis_control.policy where false order by job',
      ),
    },
  },
  {
    bug: 'an alert that is handled each time that it is sent',
    promises: ['an alert kills once'],
    lead: { ways: ['send an alert twice'] },
    twist: { operator: instead('killed_at is not null as handled', 'false as handled') },
    plant: `
      create function history.another_trip() returns trigger language plpgsql as $$
      begin
        new.id := gen_random_uuid();
        return new;
      end $$;
      create trigger another_trip before insert on portcullis_region.trip
        for each row when (new.stage = 'bake') execute function history.another_trip()`,
    dig: `drop trigger another_trip on portcullis_region.trip; drop function history.another_trip()`,
  },
  {
    bug: 'an alert that kills nothing where its end came first',
    promises: ['an alert kills once'],
    lead: { ways: ['send an alert after its end'] },
    twist: {
      operator: instead('killed_at is not null as handled', 'a.resolved_at is not null as handled'),
    },
  },
  {
    bug: 'an alert that comes after its end and fires on',
    promises: ['an alert kills once'],
    lead: { ways: ['send an alert after its end'] },
    twist: {
      operator: (sql) =>
        sql
          .replace('resolved_at = coalesce(a.resolved_at, excluded.resolved_at)\n', 'resolved_at = null\n')
          .replace('e.ended_at >= ', 'false and e.ended_at >= '),
    },
  },
  {
    bug: 'an alert that fires on beside its next firing, whose end was told',
    promises: ['an alert kills once'],
    lead: { ways: ['send an alert after its end'] },
    twist: { operator: instead('and a.starts_at <> r.starts_at', 'and false') },
  },
  {
    bug: 'a kill that leaves nothing to be recorded',
    promises: ['on the record'],
    lead: { ways: ['kill in mid-run'] },
    plant: `
      create function history.leave_nothing() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger leave_nothing before insert on portcullis_region.unrecorded_kill
        for each row execute function history.leave_nothing()`,
    dig: `drop trigger leave_nothing on portcullis_region.unrecorded_kill; drop function history.leave_nothing()`,
  },
  {
    bug: 'a kill that is recorded by everybody who finds it',
    promises: ['on the record'],
    lead: { ways: ['kill in mid-run'] },
    twist: {
      operator: instead(
        'select from portcullis_control.moved_kill where id = $1',
        'select from portcullis_control.moved_kill where id = $1 and false',
      ),
    },
    // The key would hold it back.
    plant: `
      create function history.note_nothing() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger note_nothing before insert on portcullis_control.moved_kill
        for each row execute function history.note_nothing()`,
    dig: `drop trigger note_nothing on portcullis_control.moved_kill; drop function history.note_nothing()`,
  },
  {
    bug: 'a kill that is not put on record',
    promises: ['on the record'],
    lead: { ways: ['kill in mid-run'] },
    plant: `
      create function history.look_away() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger look_away before insert on portcullis_control.audit
        for each row when (new.action = 'kill') execute function history.look_away()`,
    dig: `drop trigger look_away on portcullis_control.audit; drop function history.look_away()`,
  },
  {
    bug: 'a kill that takes the cure for the illness',
    promises: ['a kill lets the cure through'],
    lead: { ways: ['kill a restore'] },
    twist: { operator: instead('and (restores is null or $4)', 'and $4::boolean is not null') },
  },
];
