import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { RUN_COLUMNS, type Run } from './election.js';

export interface RestoreClaim {
  /** The run whose changes are to be restored. */
  readonly of: string;
  readonly worker: string;
  /** 0: for whichever worker takes it over. */
  readonly leaseMs: number;
}

/**
 * Begins a restore of a run: a run of its own, of the same job, version and region, for now. Answers undefined
 * where a restore of that run is under way already, or there is no such run.
 */
export async function electRestore(pool: pg.Pool, claim: RestoreClaim): Promise<Run | undefined> {
  const { rows } = await pool.query<Run>(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, restores, status, reason_code, reason, worker, lease_until)
     select $1, job, version, region, clock_timestamp(), 'restore', id, 'planning', 'elected', 'planning', $3,
            clock_timestamp() + make_interval(secs => $4::float8 / 1000)
     from portcullis_region.run where id = $2
     on conflict do nothing
     returning ${RUN_COLUMNS}`,
    [randomUUID(), claim.of, claim.worker, claim.leaseMs],
  );
  return rows[0];
}

/** The restore of a run that is under way. */
export async function activeRestore(pool: pg.Pool, of: string): Promise<string | undefined> {
  const { rows } = await pool.query<{ id: string }>(
    `select id from portcullis_region.run
     where restores = $1 and status in ('planning', 'applying') and not dry_run`,
    [of],
  );
  return rows[0]?.id;
}
