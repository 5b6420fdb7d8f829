import type pg from 'pg';
import type { CountedRun } from './count-history.js';

/** Whose history: one job's changes of one kind in one region. */
export interface CountSubject {
  readonly job: string;
  readonly region: string;
  /** The kind of change: `claim`. */
  readonly change: string;
}

/**
 * The newest accepted runs, oldest first: those that planned and applied to their end. Runs that were held or
 * tripped, restores, dry runs and runs that admitted nobody are not among them.
 */
export async function acceptedRuns(
  pool: pg.Pool | pg.PoolClient,
  { job, region, change }: CountSubject,
  most: number,
): Promise<CountedRun[]> {
  const { rows } = await pool.query<{ created_at: Date; count: number; units: number }>(
    `select created_at, coalesce((planned ->> $3)::float8, 0) as count, admitted_units as units
     from portcullis_region.run
     where job = $1 and region = $2 and status = 'succeeded' and not dry_run and restores is null
       and admitted_units > 0
     order by created_at desc limit $4`,
    [job, region, change, most],
  );
  return rows.map(({ created_at: at, count, units }) => ({ at, count, units })).reverse();
}
