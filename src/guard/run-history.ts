import type pg from 'pg';
import type { CountedRun } from './count-history.js';

/** As many runs as a slot every quarter of an hour makes in the four weeks that teach. */
const MOST_RUNS = 3_000;

/**
 * Runs that teach: of the same job and region, judged and carried out to their end, neither tripped nor
 * restored, and not from before the level was declared to have shifted; and what a person has accepted.
 * $1 job, $2 region, $3 the run that asks, $4 kind of change.
 */
const TEACHES = `r.job = $1 and r.region = $2 and r.id <> $3
    and not r.dry_run and r.restores is null and r.planned_at is not null
    and (r.accepted_at is not null or (
      r.status = 'succeeded'
      and not exists (select from portcullis_region.trip t where t.run = r.id)
      and not exists (
        select from portcullis_region.run cure
        where cure.restores = r.id and not cure.dry_run and cure.status in ('planning', 'applying', 'succeeded'))))
    and r.created_at > coalesce(
      (select max(b.since) from portcullis_region.baseline b
       where b.job = $1 and b.region = $2 and b.kind in ('', $4)), '-infinity')`;

/** How many changes of a kind accepted runs planned, for how many units; the newest first. */
export async function countedRuns(
  client: pg.Pool | pg.PoolClient,
  run: { readonly id: string; readonly job: string; readonly region: string },
  kind: string,
): Promise<CountedRun[]> {
  const { rows } = await client.query<CountedRun>(
    `select r.created_at as at, coalesce((r.planned ->> $4)::bigint, 0) as count, coalesce(r.admitted_units, 0) as units
     from portcullis_region.run r
     where ${TEACHES}
     order by r.created_at desc
     limit ${MOST_RUNS}`,
    [run.job, run.region, run.id, kind],
  );
  return rows;
}
