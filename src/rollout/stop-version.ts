import type pg from 'pg';
import type { Principal } from '../access/roles.js';
import { gatesOf } from '../gate/gates-of.js';
import { killJob, requireComplete } from '../gate/kill-switch.js';

/** A version that failed a rule, or is quarantined somewhere. */
export interface Fault {
  readonly job: string;
  readonly version: string;
  /** Where it failed. */
  readonly region: string;
  /** Absent where the version is quarantined already. */
  readonly rule?: string;
  readonly reason: string;
}

/** A rollout kills, and does nothing else that an operator may. */
const STOPPER: Principal = { name: 'system:rollout', role: 'operator', regions: null };

/**
 * Closes the gate where the version failed a rule, and quarantines the version everywhere; what is so already is
 * left as it is. When this answers, the version can commit nothing anywhere. Throws KILL_INCOMPLETE where that
 * is not so: to be called again until it does not.
 */
export async function stopVersion(
  control: pg.Pool,
  ownerOf: (region: string) => pg.Pool,
  { job, version, region, rule, reason }: Fault,
): Promise<void> {
  if (rule !== undefined && !(await isKilled(ownerOf(region), job, region))) {
    requireComplete([await killJob(control, ownerOf, { job, regions: [region], reason }, STOPPER)]);
  }
  const regions = (await gatesOf(control)).get(job) ?? [region];
  const missing = [];
  for (const each of regions) if (!(await isQuarantined(ownerOf(each), job, version))) missing.push(each);
  if (missing.length === 0) return;
  requireComplete([await killJob(control, ownerOf, { job, version, regions: missing, reason }, STOPPER)]);
}

/** Why a version may act nowhere; undefined where it is not quarantined. */
export async function quarantineOf(pool: pg.Pool, job: string, version: string): Promise<string | undefined> {
  const { rows } = await pool.query<{ reason: string }>(
    'select reason from portcullis_region.quarantine where job = $1 and version = $2',
    [job, version],
  );
  return rows[0]?.reason;
}

async function isQuarantined(pool: pg.Pool, job: string, version: string): Promise<boolean> {
  return (await quarantineOf(pool, job, version)) !== undefined;
}

async function isKilled(pool: pg.Pool, job: string, region: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `select from portcullis_region.gate where job = $1 and region = $2 and state = 'killed'`,
    [job, region],
  );
  return rowCount === 1;
}
