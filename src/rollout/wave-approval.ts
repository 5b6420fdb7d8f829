import type pg from 'pg';
import { z } from 'zod';
import {
  type Approval,
  type ApprovalState,
  type Decision,
  approvalState,
  decideApproval,
  requestApproval,
} from '../access/approvals.js';
import { unitLabelOf } from '../flags/policy-store.js';
import type { Principal } from '../access/roles.js';
import { PortcullisError } from '../kernel/errors.js';
import { storableJson } from '../kernel/text.js';
import { type WaveEvidence, hashOfEvidence, worsened } from './evidence.js';
import { skipperText } from './plan-advance.js';
import { permilleOf } from './read-evidence.js';
import { recordEvent, type Rollout, ROLLOUT_PRINCIPAL } from './rollout-store.js';
import { tellOfWave } from './tell-rollout.js';

/** What a request asks for: that a wave begins. That its bake is skipped: see skip-bake.ts. */
export const BEGIN_WAVE = 'begin-wave';

/** Long enough for somebody on the other side of the world, short enough to be still the same world. */
const DECIDE_WITHIN_MS = 7 * 24 * 60 * 60 * 1000;

const waveRequest = z.object({ rollout: z.string(), wave: z.string(), evidenceHash: z.string() });

/** A request that was put to a second person, and what became of it. */
export interface WaveApproval {
  readonly wave: string;
  readonly request: string;
  readonly state: ApprovalState;
  readonly evidenceHash: string;
  readonly decidedBy: string | null;
  readonly decidedAt: Date | null;
  /** Who introduced the person who approved it, and what speaks against there having been two people. */
  readonly introducedBy: string | null;
  readonly caution: string | null;
  /** Why it does not count any more. */
  readonly lapsedReason: string | null;
}

/** A request of a rollout, as it is kept. */
export interface RequestRow {
  readonly wave: string;
  readonly request: string;
  readonly evidence: WaveEvidence;
  readonly evidence_hash: string;
  readonly lapsed_reason: string | null;
  readonly decided_by: string | null;
  readonly decided_at: Date | null;
  readonly introduced_by: string | null;
  readonly caution: string | null;
  readonly expires_at: Date;
  readonly asked: Approval['evidence'];
  readonly requested_by: string;
  readonly reason: string;
  readonly state: ApprovalState;
}

/** The requests of a rollout, newest first. */
export async function waveApprovals(
  control: pg.Pool | pg.PoolClient,
  rollout: string,
): Promise<WaveApproval[]> {
  return (await readRequests(control, rollout, 'wave')).map((row) => ({
    wave: row.wave,
    request: row.request,
    state: row.state,
    evidenceHash: row.evidence_hash,
    decidedBy: row.decided_by,
    decidedAt: row.decided_at,
    introducedBy: row.introduced_by,
    caution: row.caution,
    lapsedReason: row.lapsed_reason,
  }));
}

/** How many requests for approval of any kind wait for a decision. */
export async function approvalsWaiting(control: pg.Pool): Promise<number> {
  const { rows } = await control.query<{ n: number }>(
    `select count(*) as n from portcullis_control.approval
     where decision is null and expires_at > clock_timestamp()`,
  );
  return rows[0]?.n ?? 0;
}

/** How approvals stand, after those whose evidence or reach has become worse have expired. */
export interface ApprovalStanding {
  /** The waves that may begin. */
  readonly approved: ReadonlySet<string>;
  /** The waves for which a request is open. */
  readonly asked: ReadonlySet<string>;
  /** Somebody said no, and what. */
  readonly rejected?: { readonly wave: string; readonly by: string };
}

/**
 * Reads the approvals of a rollout's waves, and voids those whose evidence or reach has become worse, which goes
 * on record. Whoever has yet to decide is shown what is so now.
 */
export async function weighApprovals(
  client: pg.PoolClient,
  rollout: Rollout,
  now: (wave: string) => Promise<WaveEvidence>,
  at: Date,
): Promise<ApprovalStanding> {
  const approved = new Set<string>();
  const asked = new Set<string>();
  let rejected: ApprovalStanding['rejected'];
  for (const row of await readRequests(client, rollout.id, 'wave')) {
    if (row.lapsed_reason !== null) continue;
    if (row.state === 'rejected') rejected ??= { wave: row.wave, by: row.decided_by ?? '' };
    if (row.state !== 'approved' && row.state !== 'pending') continue;
    // A wave that has begun has no use for its approval any more.
    if (hasBegun(rollout, row.wave)) continue;
    const worse = worsened(row.evidence, await now(row.wave), await unitLabelOf(client, rollout.job));
    if (worse === undefined) (row.state === 'approved' ? approved : asked).add(row.wave);
    else await lapse(client, rollout, row, `wave ${row.wave}`, worse, at);
  }
  return { approved, asked, ...(rejected && { rejected }) };
}

function hasBegun({ policy, parts }: Rollout, wave: string): boolean {
  const regions = policy.waves.find(({ name }) => name === wave)?.regions ?? [];
  return parts.some(({ region, step }) => step >= 0 && regions.includes(region));
}

/** Voids a request or an approval: it must be requested again. `what` it was for. On record in the client's transaction. */
export async function lapse(
  client: pg.PoolClient,
  rollout: Rollout,
  request: Pick<RequestRow, 'request' | 'state' | 'decided_by'>,
  what: string,
  worse: string,
  at: Date,
): Promise<void> {
  const reason =
    request.state === 'approved'
      ? `the approval of ${what} by ${request.decided_by ?? ''} no longer counts: ${worse}`
      : `the request for ${what} was withdrawn: ${worse}`;
  await client.query('update portcullis_control.rollout_approval set lapsed_reason = $2 where request = $1', [
    request.request,
    worse,
  ]);
  const evidence = { request: request.request };
  await recordEvent(client, rollout, { at, action: 'lapse', by: ROLLOUT_PRINCIPAL, reason, evidence });
}

/** Puts a wave's beginning to a second person, on behalf of whoever started the rollout. */
export async function askForWave(
  client: pg.PoolClient,
  rollout: Rollout,
  evidence: WaveEvidence,
): Promise<Approval> {
  const wave = rollout.policy.waves.find(({ name }) => name === evidence.wave);
  const regions = wave?.regions ?? [];
  const evidenceHash = hashOfEvidence(evidence);
  const unchecked = uncheckedText(rollout.policy, evidence);
  const again = (await readRequests(client, rollout.id, 'wave')).find((row) => row.wave === evidence.wave);
  const lapsed = again?.lapsed_reason ?? undefined;
  const unitLabel = await unitLabelOf(client, rollout.job);
  const asked = await requestApproval(
    client,
    {
      action: BEGIN_WAVE,
      subject: `${rollout.job} ${rollout.version} in wave ${evidence.wave}`,
      region: regions.length === 1 ? regions[0] : undefined,
      reason: [`${rollout.reason} (wave ${evidence.wave}: ${regions.join(', ')})`, ...unchecked].join('; '),
      evidence: { rollout: rollout.id, wave: evidence.wave, unitLabel, evidenceHash, evidence },
      expiresInMs: DECIDE_WITHIN_MS,
    },
    // As whom it was started: so that they can't be the second person too.
    { name: rollout.startedBy, role: 'operator', regions: null, hands: rollout.startedHands },
  );
  await client.query(
    `insert into portcullis_control.rollout_approval (rollout, wave, request, evidence, evidence_hash)
     values ($1, $2, $3, $4, $5)`,
    [rollout.id, evidence.wave, asked.id, storableJson(evidence), evidenceHash],
  );
  await tellOfWave(client, rollout, { name: evidence.wave, regions }, asked, { lapsed, unchecked });
  return asked;
}

/** What nobody checked of the regions that have begun, each in a few words. */
function uncheckedText(policy: Rollout['policy'], { regions }: WaveEvidence): string[] {
  return regions.flatMap(({ region, skipped = [] }) =>
    skipped.map(
      (each) =>
        `not checked: the bake of ${permilleOf(policy, { region, step: each.step }) / 10}% in ${region}, skipped by ${skipperText(each)}`,
    ),
  );
}

/**
 * Agrees to a wave's beginning, or refuses it. It begins when the rollout is next looked at, unless the evidence
 * has become worse by then. Throws ROLLOUT_STATE where the request does not count any more, so that nobody believes
 * to have agreed to what will not be; and as `decideApproval` does.
 */
export async function decideWave(
  control: pg.Pool,
  id: string,
  principal: Principal,
  decision: Decision,
  why?: string,
): Promise<Approval> {
  return decideApproval(
    control,
    id,
    principal,
    decision,
    async (client, approval) => {
      const { rollout, wave } = waveRequest.parse(approval.evidence);
      const { rows } = await client.query<{ over: string | null }>(
        `update portcullis_control.rollout_approval p set approved_by = $4, approved_at = clock_timestamp()
       from portcullis_control.rollout r
       where p.rollout = $1 and p.wave = $2 and p.request = $3 and r.id = p.rollout
       returning coalesce(p.lapsed_reason, case when r.ended_at is not null then 'the rollout is ' || r.status end) as over`,
        [rollout, wave, approval.id, principal.name],
      );
      const over = rows[0]?.over ?? null;
      if (over !== null) {
        throw new PortcullisError(
          'ROLLOUT_STATE',
          `${approval.id} asked for wave ${wave}, and does not count any more: ${over}`,
          { hint: 'portcullis approvals lists what waits now' },
        );
      }
    },
    why,
  );
}

/** The wave for which a rollout waits. */
export async function waitingWave(control: pg.Pool, rollout: string): Promise<WaveApproval | undefined> {
  return (await waveApprovals(control, rollout)).find(
    ({ state, lapsedReason }) => state === 'pending' && lapsedReason === null,
  );
}

/** Agrees to the wave for which a rollout waits. Throws as {@link decideWave} does. */
export async function approveWaiting(
  control: pg.Pool,
  rollout: string,
  principal: Principal,
): Promise<Approval> {
  const waiting = await waitingWave(control, rollout);
  if (waiting) return decideWave(control, waiting.request, principal, 'approve');
  throw new PortcullisError('ROLLOUT_STATE', 'no wave waits for a second person', {
    hint: 'portcullis rollout status shows what it waits for',
  });
}

/** What was refused has been taken note of. */
export async function lapseRejected(client: pg.PoolClient, rollout: string): Promise<void> {
  await client.query(
    `update portcullis_control.rollout_approval p set lapsed_reason = 'rejected by ' || a.decided_by
     from portcullis_control.approval a
     where a.id = p.request and p.rollout = $1 and a.decision = 'reject' and p.lapsed_reason is null`,
    [rollout],
  );
}

/** The requests of a rollout for its waves' beginnings, or for bakes to be skipped, newest first. */
export async function readRequests(
  control: pg.Pool | pg.PoolClient,
  rollout: string,
  kind: 'wave' | 'skip',
): Promise<RequestRow[]> {
  const { rows } = await control.query<RequestRow>(
    `select p.wave, p.request, p.evidence, p.evidence_hash, p.lapsed_reason, a.decided_by, a.decided_at,
            a.introduced_by, a.caution,
            a.expires_at, a.request as asked, a.requested_by, a.reason,
            ${approvalState('a')} as state
     from portcullis_control.rollout_approval p join portcullis_control.approval a on a.id = p.request
     where p.rollout = $1 and p.kind = $2 order by a.requested_at desc`,
    [rollout, kind],
  );
  return rows;
}
