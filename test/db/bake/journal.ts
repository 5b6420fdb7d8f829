import { randomUUID } from 'node:crypto';
import type pg from 'pg';

export const PLACE = { job: 'domain-claim', region: 'eu-west-1' };

export interface SeededRun {
  readonly version: string;
  readonly units: readonly string[];
  /** When its only batch was applied. */
  readonly at: string;
  readonly region?: string;
  readonly restores?: string;
  /** Of the units, those whose changes met a conflict. */
  readonly conflicts?: readonly string[];
  readonly status?: string;
  /** How many of its changes were applied; absent: all. */
  readonly applied?: number;
}

/** Takes back what the seeds and the bake have written about any run. */
export async function emptyJournal(owner: pg.Pool): Promise<void> {
  const tables = [
    'outcome',
    'outcome_state',
    'unit_change',
    'unit_change_run',
    'conflict',
    'batch',
    'change',
  ];
  for (const table of [...tables, 'lane', 'run']) await owner.query(`delete from portcullis_region.${table}`);
}

/** A run's journal as the run loop would leave it, one change for each unit. */
export async function seedJournal(pool: pg.Pool, run: SeededRun): Promise<string> {
  const id = randomUUID();
  const {
    version,
    units,
    at,
    region = PLACE.region,
    restores = null,
    conflicts = [],
    status = 'succeeded',
  } = run;
  const applied = run.applied ?? units.length;
  const over = status !== 'applying';
  await pool.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, restores, status, reason_code, reason, worker, lease_until, lanes,
        created_at, finished_at)
     values ($1, $2, $3, $4, clock_timestamp() + random() * interval '100 years', 'manual', $5, $6, 'x', 'x', 'w',
             clock_timestamp(), 1, $7, case when $8 then $7::timestamptz end)`,
    [id, PLACE.job, version, region, restores, status, at, over],
  );
  await pool.query(
    `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
     select $1, 0, seq, 'account', gen_random_uuid()::text, 'claim', unit, '{}', '{}', '{}'
     from unnest($2::text[]) with ordinality as planned (unit, seq)`,
    [id, units],
  );
  await applyUpTo(pool, id, applied, at, 0);
  await pool.query(
    `insert into portcullis_region.conflict (run, lane, seq)
     select run, lane, seq from portcullis_region.change where run = $1 and unit = any($2)`,
    [id, conflicts],
  );
  return id;
}

/** One more batch of a run. */
export async function applyUpTo(
  pool: pg.Pool,
  run: string,
  to: number,
  at: string,
  from: number,
): Promise<void> {
  if (to === from) return;
  await pool.query(
    `insert into portcullis_region.batch (run, lane, from_seq, to_seq, attempt, applied_at) values ($1, 0, $2, $3, 1, $4)`,
    [run, from, to, at],
  );
}
