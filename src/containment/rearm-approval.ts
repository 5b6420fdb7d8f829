import type pg from 'pg';
import { z } from 'zod';
import {
  ALONE,
  decideApproval,
  findApproval,
  requestOrJoin,
  type Approval,
  type Decision,
  type Joined,
} from '../access/approvals.js';
import { requireMay, type Principal } from '../access/roles.js';
import { PortcullisError } from '../kernel/errors.js';
import { readGate } from '../gate/permit.js';
import { liftQuarantine, notKilled, notQuarantined, quarantinedVersion, rearmGate } from './rearm.js';

const REARM = 'rearm';
const LIFT = 'lift-quarantine';

/** What a request keeps until it is decided: the epoch tells a later kill from the one it answers. */
const rearmEvidence = z.object({
  job: z.string(),
  region: z.string(),
  epoch: z.number(),
  killedFor: z.string(),
  onRearm: z.enum(['skip', 'once']),
});
const liftEvidence = z.object({ job: z.string(), version: z.string() });

/** Asks for a killed gate to be re-armed, or joins who has asked. A second person decides. Throws GATE_NOT_KILLED, FORBIDDEN. */
export async function askRearm(
  control: pg.Pool,
  region: pg.Pool,
  ask: {
    readonly job: string;
    readonly region: string;
    readonly reason: string;
    readonly onRearm: 'skip' | 'once';
  },
  principal: Principal,
): Promise<Joined> {
  requireMay(principal, 'request-rearm', ask.region);
  const gate = await readGate(region, ask.job, ask.region);
  if (gate.state !== 'killed') throw notKilled(`${ask.job} in ${ask.region}`);
  const { job, onRearm } = ask;
  const evidence: z.output<typeof rearmEvidence> = {
    job,
    region: ask.region,
    epoch: gate.epoch,
    killedFor: gate.reason,
    onRearm,
  };
  return requestOrJoin(
    control,
    { action: REARM, subject: `${job}.${ask.region}`, region: ask.region, reason: ask.reason, evidence },
    principal,
  );
}

/**
 * Asks for a version's quarantine to be lifted, in every region's database. `version` may be any name that
 * `versionsNamed` knows. A second principal decides. Throws VERSION_NOT_QUARANTINED, VERSION_UNKNOWN, FORBIDDEN.
 */
export async function askLift(
  control: pg.Pool,
  regions: readonly pg.Pool[],
  ask: { readonly job: string; readonly version: string; readonly reason: string },
  principal: Principal,
): Promise<Joined> {
  requireMay(principal, 'request-rearm');
  const { job, reason } = ask;
  const version = await quarantinedVersion(regions, job, ask.version);
  return requestOrJoin(
    control,
    { action: LIFT, subject: `${job} ${version}`, reason, evidence: { job, version } },
    principal,
  );
}

/**
 * Decides what was asked, and carries it out if approved: exactly once, by somebody else than who asked. A
 * gate that was killed again meanwhile stays killed (REARM_OUTDATED), and the request stays undecided.
 */
export async function decideRearm(
  control: pg.Pool,
  ownerOf: (region: string) => pg.Pool,
  everyOwner: () => readonly pg.Pool[],
  id: string,
  principal: Principal,
  decision: Decision,
): Promise<Approval> {
  const { action } = await findApproval(control, id);
  if (action !== REARM && action !== LIFT) {
    throw new PortcullisError(
      'APPROVAL_UNKNOWN',
      `${id} asks for ${action}, which this program cannot carry out`,
    );
  }
  return decideApproval(control, id, principal, decision, async (_, approval) => {
    const by =
      principal === ALONE ? `${approval.requestedBy} alone` : `${approval.requestedBy} and ${principal.name}`;
    if (approval.action === REARM) {
      const { job, region, epoch, onRearm } = rearmEvidence.parse(approval.evidence);
      await rearmGate(ownerOf(region), { job, region, epoch, onRearm, reason: approval.reason, by });
      return;
    }
    const { job, version } = liftEvidence.parse(approval.evidence);
    // Killed where one region could be reached, it may be quarantined in some databases only.
    let lifted = false;
    for (const owner of everyOwner()) lifted = (await liftQuarantine(owner, job, version)) || lifted;
    if (!lifted) throw notQuarantined(job, version);
  });
}
