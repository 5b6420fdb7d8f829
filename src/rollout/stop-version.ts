import type pg from 'pg';
import type { Principal } from '../access/roles.js';
import { loadPolicy } from '../flags/policy-store.js';
import { gatesOf } from '../containment/gates-of.js';
import { killJob, requireComplete } from '../containment/kill.js';
import { readGate } from '../gate/permit.js';
import { closingOf, sharedEvidence } from '../containment/closing.js';
import type { TripDatabases } from '../containment/trip.js';
import { type Trip, unsettledTrip, writeTrip } from '../containment/trip-row.js';
import type { Tripwire } from '../containment/tripwire.js';
import { inTransaction } from '../postgres/pool.js';
import type { RuleVerdict } from './evidence.js';

/** A version that failed a rule, or is quarantined somewhere. */
export interface Fault {
  readonly job: string;
  readonly version: string;
  /** Where it failed. */
  readonly region: string;
  /** The rule; absent where the version is quarantined already. */
  readonly failed?: Pick<RuleVerdict, 'rule' | 'reason'>;
  readonly reason: string;
}

/** A rollout quarantines, and does nothing else that an operator may. */
const STOPPER: Principal = { name: 'system:rollout', role: 'operator', regions: null };

/**
 * Trips where the version failed a rule, unless the guard has done so: what the trip closes is closed, an incident is
 * opened or joined. Then quarantines it wherever it is not. What a trip leaves undone is done by whoever finds it. Throws
 * KILL_INCOMPLETE where the version is not quarantined everywhere: to be called again until it does not.
 */
export async function stopVersion(
  regionDatabases: TripDatabases,
  trips: Tripwire,
  fault: Fault,
): Promise<void> {
  const { job, version, region, failed, reason } = fault;
  const { control } = regionDatabases;
  if (failed) {
    const trip = await tripOf(regionDatabases, fault, failed);
    if (trip) await trips.conclude(await trips.carryOut(trip));
  }
  const regions = (await gatesOf(control)).get(job) ?? [region];
  const missing = [];
  for (const each of regions) {
    if ((await quarantineOf(regionDatabases.ownerOf(each), job, version)) === undefined) missing.push(each);
  }
  if (missing.length === 0) return;
  const order = { job, version, regions: missing, reason };
  requireComplete([await killJob(control, (each) => regionDatabases.ownerOf(each), order, STOPPER)], version);
}

/** The guard's own trip while it is unfinished, or else a new one; undefined where all of it is done. */
async function tripOf(
  regionDatabases: TripDatabases,
  { job, version, region }: Fault,
  { rule, reason }: Pick<RuleVerdict, 'rule' | 'reason'>,
): Promise<Trip | undefined> {
  const loaded = await loadPolicy(regionDatabases.control, job);
  return inTransaction(regionDatabases.ownerOf(region), async (client) => {
    // Of two control planes that see the failure at once, one trips: by the gate's row, which is made where there is none.
    await readGate(client, job, region);
    const { rows } = await client.query<{ closed: boolean }>(
      `select g.state = 'killed' or exists (
         select from portcullis_region.trip t
         where t.job = g.job and t.region = g.region and t.version = $3 and t.closed = 'candidate') as closed
       from portcullis_region.gate g where g.job = $1 and g.region = $2 for update of g`,
      [job, region, version],
    );
    const unsettled = await unsettledTrip(client, { job, region, version });
    if (unsettled) return unsettled;
    if (rows[0]?.closed === true && (await quarantineOf(client, job, version)) !== undefined)
      return undefined;
    const onTrip = loaded.ok ? loaded.policy.guard.onTrip : ({ restore: 'propose' } as const);
    const shared = sharedEvidence(loaded.ok ? loaded.policy.guard.rules : [], [rule]);
    return writeTrip(client, {
      ...{ job, region, version, run: null, stage: 'bake' },
      failed: [{ rule, reason, figures: {}, evidence: [] }],
      restore: onTrip.restore,
      closing: closingOf(onTrip, { version, shared }),
    });
  });
}

/** Why a version can do nothing in a region, however far it is admitted: a kill or a quarantine; undefined: neither. */
export async function stopReason(
  pool: pg.Pool,
  { job, version, region }: { readonly job: string; readonly version: string; readonly region: string },
): Promise<string | undefined> {
  const { rows } = await pool.query<{ reason: string }>(
    `select 'quarantined: ' || reason as reason from portcullis_region.quarantine where job = $1 and version = $2
     union all
     select 'killed: ' || reason from portcullis_region.gate where job = $1 and region = $3 and state = 'killed'`,
    [job, version, region],
  );
  return rows[0]?.reason;
}

/** Why a version may act nowhere; undefined where it is not quarantined. */
export async function quarantineOf(
  pool: pg.Pool | pg.PoolClient,
  job: string,
  version: string,
): Promise<string | undefined> {
  const { rows } = await pool.query<{ reason: string }>(
    'select reason from portcullis_region.quarantine where job = $1 and version = $2',
    [job, version],
  );
  return rows[0]?.reason;
}
