import { AS_PLANNED, type Twist } from './world.js';

/** A bug as somebody might write it one day. It lives here and not in the product. */
export interface Plant {
  readonly bug: string;
  /** The promises of which it must be seen to break at least these. */
  readonly promises: readonly string[];
  readonly twist?: Twist;
  /** In the database, and how to take it out again. */
  readonly plant?: string;
  readonly dig?: string;
}

/** Says something else in place of a piece of a statement. */
const instead =
  (piece: string, other: string) =>
  (sql: string): string =>
    sql.replaceAll(piece, other);

export const PLANTS: readonly Plant[] = [
  {
    bug: 'a fence that ignores the epoch',
    promises: ['closed by default'],
    twist: { worker: instead('g.epoch = $8', 'g.epoch is not null') },
  },
  {
    bug: 'a fence that ignores the permit',
    promises: ['closed by default'],
    twist: { worker: instead('and g.permit_until > clock_timestamp()', '') },
  },
  {
    bug: 'a fence that ignores the attempt',
    promises: ['one owner'],
    twist: { worker: instead('and l.attempt = $5', 'and $5::integer is not null') },
  },
  {
    bug: 'a takeover that forgets the lanes',
    promises: ['one owner'],
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
    twist: { worker: (sql) => sql.replace(/t\."state" is not distinct from .+/, 'true') },
  },
  {
    bug: 'a reconcile that takes outdated news',
    promises: ['closed by default'],
    twist: {
      worker: instead('flag_revision as "flagRevision", variants,', '0::bigint as "flagRevision", variants,'),
    },
  },
  {
    bug: 'a kill that answers without waiting for batches in flight',
    promises: ['a kill is a fence'],
    twist: {
      operator: instead('pg_advisory_xact_lock($1::integer, hashtext($2))', '$1::integer'),
    },
  },
  {
    bug: 'a kill that leaves the epoch as it was',
    promises: ['a kill is a fence'],
    twist: {
      operator: instead(`set state = 'killed', epoch = g.epoch + 1`, `set state = 'killed', epoch = g.epoch`),
    },
  },
  {
    bug: 'a flag that un-kills',
    promises: ['a kill latches'],
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
    plant: `
      create function history.lose_the_asker() returns trigger language plpgsql as $$
      begin
        new.requested_by := 'token of ' || new.requested_by;
        return new;
      end $$;
      create trigger lose_the_asker before insert on portcullis_control.approval
        for each row execute function history.lose_the_asker()`,
    dig: `drop trigger lose_the_asker on portcullis_control.approval; drop function history.lose_the_asker()`,
  },
  {
    bug: 'a conflict that is written over all the same, on the quiet',
    promises: ['nothing unjournaled'],
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
    twist: { worker: instead('and not g.stopped', 'and (not g.stopped or $8::bigint is null)') },
  },
  {
    bug: 'a version that acts for whoever is there',
    promises: ['a version acts within its share'],
    twist: { admit: (units) => new Set(units) },
  },
  {
    bug: 'a judge that knows no cap',
    promises: ['judged before the first write'],
    twist: { policy: (policy) => ({ ...policy, guard: { ...policy.guard, caps: [] } }) },
  },
  {
    bug: 'a guard that reads the directory at another moment than the job',
    promises: ['judged as it was planned'],
    twist: {
      worker: instead(
        'begin isolation level repeatable read read write',
        'begin isolation level read committed read write',
      ),
      // Not only in every third schedule.
      policy: (policy) => ({ ...policy, guard: { ...policy.guard, rules: [AS_PLANNED] } }),
    },
  },
  {
    bug: 'a kill that is not put on record',
    promises: ['on the record'],
    plant: `
      create function history.look_away() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger look_away before insert on portcullis_control.audit
        for each row when (new.action = 'kill') execute function history.look_away()`,
    dig: `drop trigger look_away on portcullis_control.audit; drop function history.look_away()`,
  },
  {
    bug: 'a kill that takes the cure for the illness',
    promises: ['a kill lets the cure through'],
    twist: { operator: instead('and (restores is null or $4)', 'and $4::boolean is not null') },
  },
];
