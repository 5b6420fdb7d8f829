import type pg from 'pg';
import type { CountOf, RateOf } from '../flags/guard-policy.js';
import type { CountedRun } from './count-history.js';

/** Whose history: one job's changes of one kind in one region, or the units that had any. */
export interface CountSubject {
  readonly job: string;
  readonly region: string;
  /** The kind of change: `claim`. */
  readonly change: string;
  readonly of: CountOf;
}

/** Where a run keeps what it planned, by kind. */
const COUNTED: Readonly<Record<CountOf, string>> = { changes: 'planned', units: 'planned_units' };

/**
 * Runs `r` of job $1 in region $2 that teach what is usual: carried out to their end, neither tripped nor taken
 * back since, and what else a person has accepted; never dry runs, restores, or runs that admitted nobody.
 */
const ACCEPTED = `r.job = $1 and r.region = $2 and not r.dry_run and r.restores is null and r.admitted_units > 0
       and (r.accepted_at is not null or (
         r.status = 'succeeded'
         and not exists (select from portcullis_region.trip t where t.run = r.id)
         and not exists (
           select from portcullis_region.run cure
           where cure.restores = r.id and not cure.dry_run
             and cure.status in ('planning', 'applying', 'succeeded'))))`;

/**
 * The newest accepted runs, oldest first: those that planned and applied to their end, and those that a person
 * has accepted. Runs that were held, tripped or taken back, restores, dry runs and runs that admitted nobody
 * are not among them, nor runs from before the level of that kind was said to have shifted, nor those of which
 * nobody has counted the units where these are asked for.
 */
export async function acceptedRuns(
  pool: pg.Pool | pg.PoolClient,
  { job, region, change, of }: CountSubject,
  most: number,
): Promise<CountedRun[]> {
  const { rows } = await pool.query<{ created_at: Date; count: number; units: number }>(
    `select created_at, coalesce((${COUNTED[of]} ->> $3)::float8, 0) as count, admitted_units as units
     from portcullis_region.run r
     where ${ACCEPTED} and ${COUNTED[of]} is not null
       and r.created_at > coalesce(
         (select max(b.since) from portcullis_region.baseline b
          where b.job = $1 and b.region = $2 and b.kind in ('', $3)), '-infinity')
     order by created_at desc limit $4`,
    [job, region, change, most],
  );
  return rows.map(({ created_at: at, count, units }) => ({ at, count, units })).reverse();
}

/** Rates learn from so many of the newest accepted runs. */
const RUNS_FOR_RATES = 100;

/** How many changes accepted runs carried out, and how many of those went wrong in that way. */
export async function acceptedEvents(
  client: pg.Pool | pg.PoolClient,
  { job, region }: { readonly job: string; readonly region: string },
  of: RateOf,
): Promise<{ readonly changes: number; readonly events: number }> {
  const { rows } = await client.query<{ changes: number; events: number }>(
    `with taught as (
       select r.id, (select coalesce(sum(value::bigint), 0) from jsonb_each_text(r.planned)) as changes
       from portcullis_region.run r
       where ${ACCEPTED} and r.lanes > 0
       order by r.created_at desc limit ${RUNS_FOR_RATES}
     )
     select coalesce(sum(changes), 0)::float8 as changes,
       (select count(*) from portcullis_region.conflict x
        where x.run in (select id from taught) and ($3 = 'errors' or (x.refusal is null) = ($3 = 'conflicts'))) as events
     from taught`,
    [job, region, of],
  );
  return rows[0] ?? { changes: 0, events: 0 };
}
