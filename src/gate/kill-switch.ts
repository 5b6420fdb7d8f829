import type pg from 'pg';
import { requireMay, type Principal } from '../access/roles.js';
import { recordAudit } from '../audit/record.js';
import { messageOf } from '../base/errors.js';
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
  return { killed, failed, ...(unrecorded !== undefined && { unrecorded }) };
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
