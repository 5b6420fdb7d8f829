import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { databaseTime } from '../postgres/database-clock.js';
import { PortcullisError } from '../kernel/errors.js';

export const TRIGGERS = ['schedule', 'catch-up', 'manual', 'restore'] as const;
export type Trigger = (typeof TRIGGERS)[number];

/** Everything that names a run and the worker's claim on it. */
export interface Run {
  readonly id: string;
  readonly job: string;
  readonly version: string;
  readonly region: string;
  readonly slot: Date;
  readonly trigger: Trigger;
  readonly dryRun: boolean;
  /** The run whose changes this one restores; null for a run of a job. */
  readonly restores: string | null;
  /** How often the run has changed hands, from 1. Whoever writes for the run must name the newest. */
  readonly attempt: number;
  readonly createdAt: Date;
}

export interface SlotClaim {
  /** The id that the run is to have; absent: a new one. */
  readonly id?: string;
  readonly job: string;
  readonly version: string;
  readonly region: string;
  /** Absent: now, by the database's clock. */
  readonly slot?: Date;
  readonly trigger: Trigger;
  readonly dryRun?: boolean;
  /** The slot is of a replay's clock, which may be ahead of the database's. */
  readonly simulated?: boolean;
  readonly worker: string;
  readonly leaseMs: number;
}

export type Election =
  | { readonly elected: true; readonly run: Run }
  /**
   * `taken`: another process has the slot. `busy`: a run of this version is active here; a slot is noted as skipped.
   * `early`: by the database's clock the slot is not due yet.
   */
  | { readonly elected: false; readonly why: 'taken' | 'busy' | 'early'; readonly activeRun?: string };

export const RUN_COLUMNS = `id, job, version, region, slot, trigger, dry_run as "dryRun", restores, attempt, created_at as "createdAt"`;

/**
 * Tries to get a slot's run. Inserting the row is the election: of any number of processes that try, one
 * gets it. A slot that comes while an earlier run is active is recorded as skipped, not queued. The database's clock
 * decides whether a slot is due: no process whose clock is ahead uses up what is to come.
 */
export async function elect(pool: pg.Pool, claim: SlotClaim): Promise<Election> {
  const inserted = await insertRun(pool, claim, 'planning', 'elected', 'planning');
  if (inserted) return { elected: true, run: inserted };
  if (claim.slot && claim.slot > (await databaseTime(pool))) return { elected: false, why: 'early' };
  const active = await activeRun(pool, claim);
  if (active === undefined || claim.dryRun === true) return { elected: false, why: 'taken' };
  if (claim.slot !== undefined) {
    const reason = `run ${active.slice(0, 8)} was still active when the slot came`;
    const skipped = await insertRun(pool, claim, 'skipped', 'run-active', reason);
    if (!skipped) return { elected: false, why: 'taken' };
  }
  return { elected: false, why: 'busy', activeRun: active };
}

async function insertRun(
  pool: pg.Pool | pg.PoolClient,
  claim: SlotClaim,
  status: 'planning' | 'skipped',
  code: string,
  reason: string,
): Promise<Run | undefined> {
  const { rows } = await pool.query<Run>(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, dry_run, status, reason_code, reason, worker, lease_until, finished_at)
     select $1, $2, $3, $4, coalesce($5, clock_timestamp()), $6, $7, $8, $9, $10, $11,
            clock_timestamp() + make_interval(secs => $12::float8 / 1000),
            case when $8 = 'skipped' then clock_timestamp() end
     where $13 or coalesce($5 <= clock_timestamp(), true)
     on conflict do nothing
     returning ${RUN_COLUMNS}`,
    [
      claim.id ?? randomUUID(),
      claim.job,
      claim.version,
      claim.region,
      claim.slot ?? null,
      claim.trigger,
      claim.dryRun ?? false,
      status,
      code,
      reason,
      claim.worker,
      claim.leaseMs,
      claim.simulated ?? false,
    ],
  );
  return rows[0];
}

/** Another version's run does not count: each acts for units of its own. */
async function activeRun(
  pool: pg.Pool,
  { job, region, version }: Pick<SlotClaim, 'job' | 'region' | 'version'>,
): Promise<string | undefined> {
  const { rows } = await pool.query<{ id: string }>(
    `select id from portcullis_region.run
     where job = $1 and region = $2 and version = $3 and status in ('planning', 'applying')
       and not dry_run and restores is null`,
    [job, region, version],
  );
  return rows[0]?.id;
}

/**
 * Catches a missed slot up: elects its run if it never had one, or takes up again the one that was held or
 * skipped; not one whose plan the guard held, for that was judged. At most one process succeeds, and only while no
 * other run of this version is active there.
 */
export async function electMissed(
  pool: pg.Pool,
  claim: SlotClaim & { readonly slot: Date },
): Promise<Run | undefined> {
  const inserted = await insertRun(
    pool,
    { ...claim, trigger: 'catch-up' },
    'planning',
    'elected',
    'catching a missed slot up',
  );
  if (inserted) return inserted;
  const { rows } = await pool.query<Run>(
    `update portcullis_region.run r
     set status = 'planning', trigger = 'catch-up', attempt = attempt + 1, worker = $5, finished_at = null,
         reason_code = 'elected', reason = 'catching a missed slot up: ' || reason,
         lease_until = clock_timestamp() + make_interval(secs => $6::float8 / 1000)
     where job = $1 and version = $2 and region = $3 and slot = $4 and status in ('held', 'skipped') and planned_at is null
       and not exists (select from portcullis_region.run a
                       where a.job = $1 and a.region = $3 and a.version = $2
                         and a.status in ('planning', 'applying') and not a.dry_run and a.restores is null)
     returning ${RUN_COLUMNS}`,
    [claim.job, claim.version, claim.region, claim.slot, claim.worker, claim.leaseMs],
  );
  return rows[0];
}

/**
 * Leaves what a run has not done to another, for whichever worker that has the version's code takes it over: in the
 * transaction that ends the run, so that a worker which dies behind it leaves nothing undone.
 */
export async function electAnother(client: pg.PoolClient, run: Run, reason: string): Promise<void> {
  const { job, version, region } = run;
  const { rows } = await client.query<{ worker: string }>(
    'select worker from portcullis_region.run where id = $1',
    [run.id],
  );
  const claim = {
    job,
    version,
    region,
    trigger: 'catch-up',
    worker: rows[0]?.worker ?? '',
    leaseMs: 0,
  } as const;
  await insertRun(client, claim, 'planning', 'elected', reason);
}

/** The slot of the newest run that this version has had here, apart from those that a policy may catch up. */
export async function lastSlotDone(
  pool: pg.Pool,
  job: string,
  version: string,
  region: string,
): Promise<Date | undefined> {
  const { rows } = await pool.query<{ slot: Date | null }>(
    `select max(slot) as slot from portcullis_region.run
     where job = $1 and version = $2 and region = $3 and (status not in ('held', 'skipped') or planned_at is not null) and not dry_run and restores is null`,
    [job, version, region],
  );
  return rows[0]?.slot ?? undefined;
}

/** An election is lost without a run to blame when that run ended in the same moment. */
const ELECTIONS = 3;

/** Elects a run for now. Throws RUN_ACTIVE where one of the same version is under way. */
export async function electManual(pool: pg.Pool, claim: Omit<SlotClaim, 'trigger' | 'slot'>): Promise<Run> {
  const { job, region } = claim;
  for (let attempt = 1; attempt <= ELECTIONS; attempt += 1) {
    const election = await elect(pool, { ...claim, trigger: 'manual' });
    if (election.elected) return election.run;
    if (election.activeRun !== undefined) throw runActive(job, region, election.activeRun);
  }
  throw runActive(job, region, undefined);
}

function runActive(job: string, region: string, activeRun: string | undefined): PortcullisError {
  const which = activeRun === undefined ? 'another run' : `run ${activeRun.slice(0, 8)}`;
  return new PortcullisError('RUN_ACTIVE', `${which} of ${job} is active in ${region}`, {
    hint:
      activeRun === undefined
        ? 'try again'
        : `wait for it (portcullis run show ${activeRun.slice(0, 8)}); if its worker is gone, ` +
          `portcullis worker --regions ${region} finishes it`,
    details: { job, region, ...(activeRun !== undefined && { activeRun }) },
  });
}

interface RestoreClaim {
  /** The run whose changes are to be restored. */
  readonly of: string;
  readonly worker: string;
  /** 0: for whichever worker takes it over. */
  readonly leaseMs: number;
  /** What of it; absent: everything. */
  readonly part?: object | undefined;
}

/**
 * Begins a restore of a run: a run of its own, of the same job, version and region, for now. Answers undefined
 * where a restore of that run is under way already, or there is no such run.
 */
export async function electRestore(pool: pg.Pool, claim: RestoreClaim): Promise<Run | undefined> {
  const { part } = claim;
  const { rows } = await pool.query<Run>(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, restores, status, reason_code, reason, worker, lease_until${part ? ', part' : ''})
     select $1, job, version, region, clock_timestamp(), 'restore', id, 'planning', 'elected', 'planning', $3,
            clock_timestamp() + make_interval(secs => $4::float8 / 1000)${part ? ', $5' : ''}
     from portcullis_region.run where id = $2
     on conflict do nothing
     returning ${RUN_COLUMNS}`,
    [randomUUID(), claim.of, claim.worker, claim.leaseMs, ...(part ? [JSON.stringify(part)] : [])],
  );
  return rows[0];
}

/** The restore of a run that is under way, and whether it is of the same part. */
export async function activeRestore(
  pool: pg.Pool,
  of: string,
  part?: object,
): Promise<{ readonly id: string; readonly samePart: boolean } | undefined> {
  const { rows } = await pool.query<{ id: string; samePart: boolean }>(
    `select id, coalesce(nullif(to_jsonb(r) -> 'part', 'null'), 'null') = $2::jsonb as "samePart" from portcullis_region.run r
     where restores = $1 and status in ('planning', 'applying') and not dry_run`,
    [of, JSON.stringify(part ?? null)],
  );
  return rows[0];
}
