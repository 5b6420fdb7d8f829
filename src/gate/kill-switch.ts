import type pg from 'pg';
import { requireMay, type Principal } from '../access/roles.js';
import { recordAudit } from '../audit/record.js';
import { PortcullisError, messageOf } from '../base/errors.js';
import { gatesOf } from './gates-of.js';
import { endKilledRuns, killGate, type Killed, type KillOrder } from './kill.js';

/** What to kill: a job in some regions, or one version of it everywhere. */
export interface KillRequest {
  readonly job: string;
  readonly regions: readonly string[];
  readonly version?: string;
  readonly restoresToo?: boolean;
  readonly reason: string;
}

export interface KillReport {
  readonly job: string;
  readonly killed: readonly (Killed & { readonly runsEnded: readonly string[] })[];
  /** Where the kill has not taken hold, and why. */
  readonly failed: readonly { readonly region: string; readonly reason: string }[];
  /** Why it could not be put on record; the kill holds all the same. */
  readonly unrecorded?: string;
}

/**
 * Pulls the switch: every region at once, first the gates, and only then the bookkeeping (runs ended, audit).
 * Nothing in the bookkeeping can undo or delay a kill. Throws FORBIDDEN before anything is done; no approval
 * is ever needed.
 */
export async function killJob(
  control: pg.Pool,
  ownerOf: (region: string) => pg.Pool,
  request: KillRequest,
  principal: Principal,
): Promise<KillReport> {
  for (const region of request.regions) requireMay(principal, 'kill', region);
  const { regions, ...rest } = request;
  const orders = regions.map((region): KillOrder => ({ ...rest, region, by: principal.name }));
  const tried = await Promise.allSettled(orders.map((order) => killGate(ownerOf(order.region), order)));
  const killed = [];
  const failed = [];
  for (const [at, order] of orders.entries()) {
    const outcome = tried[at];
    if (outcome?.status === 'fulfilled') {
      const runsEnded = await endKilledRuns(ownerOf(order.region), order).catch(() => []);
      killed.push({ ...outcome.value, runsEnded });
    } else {
      failed.push({ region: order.region, reason: messageOf(outcome?.reason) });
    }
  }
  const unrecorded = await record(control, request, principal, killed).catch(messageOf);
  return { job: request.job, killed, failed, ...(unrecorded !== undefined && { unrecorded }) };
}

/**
 * Stops every job in every region, and restores too. A job or region where that fails keeps none of the others
 * from being stopped. Throws FORBIDDEN before anything is done.
 */
export async function stopEverything(
  control: pg.Pool,
  ownerOf: (region: string) => pg.Pool,
  reason: string,
  principal: Principal,
): Promise<readonly KillReport[]> {
  requireMay(principal, 'kill');
  const reports = [];
  for (const [job, regions] of await gatesOf(control)) {
    reports.push(await killJob(control, ownerOf, { job, regions, reason, restoresToo: true }, principal));
  }
  return reports;
}

/** Throws KILL_INCOMPLETE, with all that was reported, where a kill has not taken hold everywhere. */
export function requireComplete(reports: readonly KillReport[]): void {
  const failed = reports.flatMap((report) => report.failed.map((each) => ({ job: report.job, ...each })));
  if (failed.length === 0) return;
  const where = failed.map(({ job, region, reason }) => `${job} in ${region}: ${reason}`).join('\n');
  throw new PortcullisError('KILL_INCOMPLETE', where, {
    mend: 'try again at once; if the database there cannot be reached, neither can its workers renew their permits, and they lapse',
    details: { reports },
  });
}

async function record(
  control: pg.Pool,
  request: KillRequest,
  principal: Principal,
  killed: KillReport['killed'],
): Promise<undefined> {
  const { job, version, reason, restoresToo = false } = request;
  for (const { region, epoch, inFlight, terminated, runsEnded } of killed) {
    await recordAudit(control, {
      principal: principal.name,
      action: version === undefined ? 'kill' : 'quarantine',
      subject: version === undefined ? `${job}.${region}` : `${job} ${version} in ${region}`,
      evidence: { reason, epoch, inFlight, terminated, runsEnded: [...runsEnded], restoresToo },
    });
  }
}
