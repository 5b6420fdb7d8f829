import type pg from 'pg';
import { z } from 'zod';
import {
  ALONE,
  decideApproval,
  findApproval,
  pendingRequests,
  requestOrJoin,
  type Approval,
  type ApprovalRequest,
  type Decision,
  type Joined,
} from '../access/approvals.js';
import { requireMay, type Principal } from '../access/roles.js';
import { PortcullisError } from '../kernel/errors.js';
import { requireSeen } from '../kernel/seen.js';
import { notify } from '../notify/notice.js';
import { inTransaction } from '../postgres/pool.js';
import { readGate } from '../gate/permit.js';
import {
  killedAgain,
  liftQuarantine,
  notKilled,
  notQuarantined,
  quarantinedVersion,
  rearmGate,
} from './rearm.js';

const REARM = 'rearm';
const LIFT = 'lift-quarantine';

/** A killed gate of a request. The epoch tells a later kill from the one that the request answers. */
const killedGate = z.object({ region: z.string(), epoch: z.number(), killedFor: z.string() });

/** What a request keeps until it is decided. */
const gatesEvidence = z.object({
  job: z.string(),
  gates: z.array(killedGate).min(1),
  onRearm: z.enum(['skip', 'once']),
});
/** A release before, each request was for one gate. */
const rearmEvidence = z.union([
  gatesEvidence,
  killedGate
    .extend({ job: z.string(), onRearm: z.enum(['skip', 'once']) })
    .transform(({ job, onRearm, ...gate }) => ({ job, gates: [gate], onRearm })),
]);
type RearmEvidence = z.output<typeof gatesEvidence>;
const liftEvidence = z.object({ job: z.string(), version: z.string() });

/** Which gates of a job to re-arm. */
export interface RearmAsk {
  readonly job: string;
  /** Absent: all that are killed, of `among`. */
  readonly regions?: readonly string[] | undefined;
  /** The regions that the job has. */
  readonly among: readonly string[];
  readonly reason: string;
  readonly onRearm: 'skip' | 'once';
  /** The epoch that was seen of the one gate that is named. */
  readonly ifRevision?: number | undefined;
}

/** A request for gates to be re-armed. */
export interface AskedRearm extends Joined {
  /** The regions of its gates. */
  readonly regions: readonly string[];
  /** Earlier requests that wait, for some of the same gates; this one needs none of them. */
  readonly others: readonly { readonly id: string; readonly regions: readonly string[] }[];
}

/**
 * Asks for killed gates of a job to be re-armed, in one request that a second person decides once; or joins one that
 * waits and is for all of them. Throws FORBIDDEN, REVISION_STALE, and GATE_NOT_KILLED where a named gate is not killed,
 * or none is.
 */
export async function askRearm(
  control: pg.Pool,
  poolOf: (region: string) => pg.Pool,
  ask: RearmAsk,
  principal: Principal,
): Promise<AskedRearm> {
  const { job, onRearm, reason } = ask;
  const named = ask.regions && [...new Set(ask.regions)].sort();
  for (const region of named ?? [undefined]) requireMay(principal, 'request-rearm', region);
  const gates: z.output<typeof killedGate>[] = [];
  for (const region of named ?? ask.among) {
    const { state, epoch, reason: killedFor } = await readGate(poolOf(region), job, region);
    requireSeen(`the gate of ${job} in ${region}`, epoch, ask.ifRevision);
    if (state === 'killed') gates.push({ region, epoch, killedFor });
    else if (named !== undefined) throw notKilled(`${job} in ${region}`);
  }
  if (gates.length === 0) throw notKilled(`${job} in any region`);
  const regions = gates.map(({ region }) => region);
  const evidence: RearmEvidence = { job, gates, onRearm };
  const asked = await askAndTell(
    control,
    job,
    {
      ...{ action: REARM, reason, evidence },
      subject: regions.length === 1 ? `${job}.${regions[0] ?? ''}` : `${job} in ${regions.join(', ')}`,
      region: regions.length === 1 ? regions[0] : undefined,
    },
    principal,
    ({ evidence: waiting }) => coversGates(waiting, evidence),
  );
  const others = (await pendingRequests(control, REARM)).flatMap(({ id, evidence: waiting }) => {
    if (id === asked.id) return [];
    const shared = sharedGates(waiting, evidence);
    return shared.length === 0 ? [] : [{ id, regions: shared }];
  });
  return { ...asked, regions: gatesOf(asked.evidence).map(({ region }) => region), others };
}

/** Asks, and tells people that one of them is waited for, in one transaction; of a request that is joined they know. */
function askAndTell(
  control: pg.Pool,
  job: string,
  request: ApprovalRequest,
  principal: Principal,
  covers?: (waiting: Approval) => boolean,
): Promise<Joined> {
  return inTransaction(control, async (client) => {
    const asked = await requestOrJoin(client, request, principal, covers);
    if (asked.joined) return asked;
    const { id, action, subject, reason, requestedPerson, requestedBy } = asked;
    await notify(client, {
      ...{ kind: 'approval', job, ...(request.region !== undefined && { region: request.region }) },
      title: `${requestedPerson ?? requestedBy} asks for ${action} of ${subject}`,
      lines: [`Reason: ${reason}`, `To agree: portcullis approve ${id}`],
      details: { request: id, action, subject },
    });
    return asked;
  });
}

function gatesOf(evidence: Approval['evidence']): RearmEvidence['gates'] {
  return rearmEvidence.parse(evidence).gates;
}

/** Regions whose gates, as they were killed, a waiting request and this one are both for. */
function sharedGates(waiting: Approval['evidence'], { job, gates }: RearmEvidence): string[] {
  const parsed = rearmEvidence.safeParse(waiting);
  if (!parsed.success || parsed.data.job !== job) return [];
  return gates
    .filter(({ region, epoch }) =>
      parsed.data.gates.some((each) => each.region === region && each.epoch === epoch),
    )
    .map(({ region }) => region);
}

/** Whether a waiting request re-arms all of these gates, and so that nothing more has to be asked. */
function coversGates(waiting: Approval['evidence'], evidence: RearmEvidence): boolean {
  const parsed = rearmEvidence.safeParse(waiting);
  return (
    parsed.success &&
    parsed.data.onRearm === evidence.onRearm &&
    sharedGates(waiting, evidence).length === evidence.gates.length
  );
}

/**
 * Re-arms the gates of a request. Those that are re-armed already stay so. Throws GATE_NOT_KILLED where all are, and
 * REARM_OUTDATED, before any is re-armed, where one was killed again.
 */
async function rearmGates(
  ownerOf: (region: string) => pg.Pool,
  { job, gates, onRearm }: RearmEvidence,
  { reason, by }: { readonly reason: string; readonly by: string },
): Promise<void> {
  const killed: RearmEvidence['gates'] = [];
  for (const gate of gates) {
    const now = await readGate(ownerOf(gate.region), job, gate.region);
    if (now.state !== 'killed') continue;
    if (now.epoch !== gate.epoch) throw killedAgain(`${job} in ${gate.region}`, now, gate.epoch);
    killed.push(gate);
  }
  if (killed.length === 0) {
    throw notKilled(`${job} in ${gates.map(({ region }) => region).join(', ')}`);
  }
  for (const { region, epoch } of killed) {
    await rearmGate(ownerOf(region), { job, region, epoch, onRearm, reason, by });
  }
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
  return askAndTell(
    control,
    job,
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
  why?: string,
): Promise<Approval> {
  const { action } = await findApproval(control, id);
  if (action !== REARM && action !== LIFT) {
    throw new PortcullisError(
      'APPROVAL_UNKNOWN',
      `${id} asks for ${action}, which this program cannot carry out`,
    );
  }
  return decideApproval(
    control,
    id,
    principal,
    decision,
    async (_, approval) => {
      const by =
        principal === ALONE
          ? `${approval.requestedBy} alone`
          : `${approval.requestedBy} and ${principal.name}`;
      if (approval.action === REARM) {
        const evidence = rearmEvidence.parse(approval.evidence);
        await rearmGates(ownerOf, evidence, { reason: approval.reason, by });
        return;
      }
      const { job, version } = liftEvidence.parse(approval.evidence);
      // Killed where one region could be reached, it may be quarantined in some databases only.
      let lifted = false;
      for (const owner of everyOwner()) lifted = (await liftQuarantine(owner, job, version)) || lifted;
      if (!lifted) throw notQuarantined(job, version);
    },
    why,
  );
}
