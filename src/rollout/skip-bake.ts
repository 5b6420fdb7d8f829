import type pg from 'pg';
import { z } from 'zod';
import {
  type Approval,
  type Decision,
  decideApproval,
  requestApproval,
  APPROVAL_STATES,
} from '../access/approvals.js';
import { unitLabelOf } from '../flags/policy-store.js';
import { requireMay, type Principal } from '../access/roles.js';
import { PortcullisError } from '../kernel/errors.js';
import { storableJson } from '../kernel/text.js';
import { listOf } from '../kernel/words.js';
import { listFlags } from '../flags/flag-store.js';
import { regionsServed } from './announce.js';
import { hashOfEvidence, type RegionEvidence, worsened, type WaveEvidence } from './evidence.js';
import {
  type EvidenceSources,
  permilleOf,
  reachOf,
  readEvidence,
  type UnitsOf,
  waveEvidence,
} from './read-evidence.js';
import { lockRollout, recordEvent, type Rollout, type StoredPart } from './rollout-store.js';
import { requireOwnFlags, rolloutState, steer, type Steering } from './steer.js';
import { tellOfSkip } from './tell-rollout.js';
import { lapse, readRequests, type RequestRow } from './wave-approval.js';
import { count, isoTime } from '../kernel/schema.js';

/** What a request for a bake to be skipped asks for. */
export const SKIP_BAKE = 'skip-bake';

/** A bake may well be over by itself after that. */
const DECIDE_WITHIN_MS = 24 * 60 * 60 * 1000;

/** A bake that is under way: of the step that the region has, since it has it. */
const bake = z.object({ region: z.string(), step: z.number(), permille: z.number(), since: z.string() });
type Bake = z.infer<typeof bake>;

const skipRequest = z.object({ rollout: z.string(), wave: z.string(), bakes: z.array(bake).min(1) });

export interface SkipOrder extends Steering {
  /** Only the bake of this region; absent: of every region that bakes. */
  readonly region?: string | undefined;
}

/** What asking takes. */
export interface SkipSources extends EvidenceSources {
  readonly control: pg.Pool;
  readonly unitsOf?: UnitsOf;
}

/**
 * Asks for the bakes under way to be skipped. Another person decides, on the evidence that there is. Until then, and
 * for every later step, the bake goes on. Throws FORBIDDEN, ROLLOUT_NONE, ROLLOUT_STATE, FLAGS_ELSEWHERE.
 */
export async function askToSkip(
  sources: SkipSources,
  order: SkipOrder,
  principal: Principal,
): Promise<Approval> {
  requireMay(principal, 'skip-bake', order.region);
  requireOwnFlags(order);
  return steer(sources.control, order, async (client, rollout, at) => {
    const parts = partsToSkip(rollout, order.region);
    const bakes = parts.map((part) => bakeOf(rollout, part));
    const open = (await readRequests(client, rollout.id, 'skip')).find(
      ({ state, lapsed_reason, asked }) =>
        state === 'pending' &&
        lapsed_reason === null &&
        bakesOf(asked).some((each) => bakes.some(({ region }) => region === each.region)),
    );
    if (open) {
      throw rolloutState(
        rollout,
        `${open.requested_by} has asked already: portcullis approve ${open.request}`,
      );
    }
    const flags = await listFlags(client, rollout.job);
    const seen = await readEvidence(sources, rollout, flags, await regionsServed(client, rollout), at);
    const evidence = await skipEvidence(sources, rollout, bakes, seen);
    const { wave } = evidence;
    const evidenceHash = hashOfEvidence(evidence);
    const unitLabel = await unitLabelOf(client, rollout.job);
    const [first, ...others] = bakes;
    const request = await requestApproval(
      client,
      {
        action: SKIP_BAKE,
        subject: `${rollout.job} ${rollout.version}: ${bakesText(bakes)}`,
        region: others.length === 0 ? first?.region : undefined,
        reason: order.reason,
        evidence: { rollout: rollout.id, wave, bakes, unitLabel, evidenceHash, evidence },
        expiresInMs: DECIDE_WITHIN_MS,
      },
      principal,
    );
    await client.query(
      `insert into portcullis_control.rollout_approval (rollout, wave, request, evidence, evidence_hash, kind)
       values ($1, $2, $3, $4, $5, 'skip')`,
      [rollout.id, wave, request.id, storableJson(evidence), evidenceHash],
    );
    await tellOfSkip(client, rollout, bakesText(bakes), request);
    return request;
  });
}

/** The bakes that may be skipped now. Throws ROLLOUT_STATE where there is none. */
function partsToSkip(rollout: Rollout, region: string | undefined): readonly StoredPart[] {
  const baking = rollout.parts.filter(
    (part) => part.step >= 0 && !part.done && (region === undefined || part.region === region),
  );
  if (baking.length === 0)
    throw rolloutState(
      rollout,
      region === undefined ? 'nothing bakes now' : `nothing bakes in ${region} now`,
    );
  const left = baking.filter(({ waived }) => waived === undefined);
  if (left.length === 0) throw rolloutState(rollout, 'the bakes under way are skipped already');
  return left;
}

/**
 * Agrees that a bake is skipped, or refuses it. The step is taken when the rollout is next looked at, unless the
 * evidence has become worse by then. Throws ROLLOUT_STATE where the request does not count any more; and as
 * `decideApproval` does.
 */
export async function decideSkip(
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
      const { rollout: of, bakes } = skipRequest.parse(approval.evidence);
      const rollout = await lockRollout(client, of, false);
      const over = (why: string): PortcullisError =>
        new PortcullisError('ROLLOUT_STATE', `${approval.id} does not count any more: ${why}`, {
          hint: 'portcullis rollout status shows where it stands; ask again if it is still wanted',
        });
      if (!rollout) throw over('the rollout is over');
      const current = stillUnderWay(rollout, bakes);
      if (current.length === 0) throw over(`the ${bakesText(bakes)} is over, or began again`);
      const { rows } = await client.query<{ lapsed_reason: string | null }>(
        `update portcullis_control.rollout_approval set approved_by = $2, approved_at = clock_timestamp()
       where request = $1 returning lapsed_reason`,
        [approval.id, principal.name],
      );
      const lapsed = rows[0]?.lapsed_reason ?? null;
      if (lapsed !== null) throw over(lapsed);
      await client.query(
        `update portcullis_control.rollout_part set waived_by = $3, waived_reason = $4, waived_approved = $5
       where rollout = $1 and region = any($2)`,
        [
          ...[rollout.id, current.map(({ region }) => region), approval.requestedBy],
          ...[approval.reason, principal.name],
        ],
      );
      await recordEvent(client, rollout, {
        at: new Date(approval.decidedAt ?? Date.now()),
        action: SKIP_BAKE,
        by: principal.name,
        reason: `${bakesText(current)} skipped, not checked: asked for by ${approval.requestedBy}: ${approval.reason}`,
        evidence: { request: approval.id, requestedBy: approval.requestedBy, bakes: current },
      });
    },
    why,
  );
}

/**
 * Voids requests and approvals of skips whose evidence or reach has become worse, or whose bake began again. An
 * approved one that was not used skips nothing then. Answers the rollout as it is then.
 */
export async function weighSkips(
  client: pg.PoolClient,
  sources: Omit<SkipSources, 'control'>,
  rollout: Rollout,
  evidence: readonly RegionEvidence[],
  at: Date,
): Promise<Rollout> {
  let parts = rollout.parts;
  for (const row of await readRequests(client, rollout.id, 'skip')) {
    if (row.lapsed_reason !== null || (row.state !== 'approved' && row.state !== 'pending')) continue;
    const bakes = bakesOf(row.asked);
    const current = stillUnderWay(rollout, bakes);
    const worse =
      current.length === 0
        ? whyOver(rollout, row, bakes)
        : worsened(
            row.evidence,
            await skipEvidence(sources, rollout, current, evidence),
            await unitLabelOf(client, rollout.job),
          );
    if (worse === undefined) continue;
    const regions = bakes.map(({ region }) => region);
    await client.query(
      `update portcullis_control.rollout_part set waived_by = null, waived_reason = null, waived_approved = null
       where rollout = $1 and region = any($2) and waived_by = $3 and waived_reason = $4`,
      [rollout.id, regions, row.requested_by, row.reason],
    );
    parts = parts.map((part) => (regions.includes(part.region) ? withoutWaiver(part) : part));
    await lapse(client, rollout, row, `skipping the ${bakesText(bakes)}`, worse, at);
  }
  return { ...rollout, parts };
}

/** Why a request has no bake to skip any more; undefined where it was used, or the bake ended by itself after it was approved. */
function whyOver(rollout: Rollout, { state }: RequestRow, bakes: readonly Bake[]): string | undefined {
  const again = bakes.some(({ region, step }) =>
    rollout.parts.some((part) => part.region === region && part.step === step && !part.done),
  );
  if (again) return 'the bake began again, since its flag was changed by hand';
  return state === 'pending' ? 'the bake ended' : undefined;
}

function withoutWaiver(part: StoredPart): StoredPart {
  const { waived, ...rest } = part;
  return waived === undefined ? part : rest;
}

function bakesOf(asked: Approval['evidence']): readonly Bake[] {
  const parsed = skipRequest.safeParse(asked);
  return parsed.success ? parsed.data.bakes : [];
}

function bakeOf({ policy }: Rollout, { region, step, since }: StoredPart): Bake {
  return { region, step, permille: permilleOf(policy, { region, step }), since: since?.toISOString() ?? '' };
}

function stillUnderWay(rollout: Rollout, bakes: readonly Bake[]): readonly Bake[] {
  return bakes.filter(({ region, step, since }) =>
    rollout.parts.some(
      (part) =>
        part.region === region && part.step === step && !part.done && part.since?.toISOString() === since,
    ),
  );
}

/** The evidence of the rollout, and whom the steps after these bakes reach. */
async function skipEvidence(
  { unitsOf }: { readonly unitsOf?: UnitsOf },
  rollout: Rollout,
  bakes: readonly Bake[],
  evidence: readonly RegionEvidence[],
): Promise<WaveEvidence> {
  const waveOf = (region: string) => rollout.policy.waves.find(({ regions }) => regions.includes(region));
  const next = bakes.map(({ region, step }) => ({
    region,
    step: Math.min(step + 1, (waveOf(region)?.stepsPermille.length ?? 1) - 1),
  }));
  const wave = waveOf(bakes[0]?.region ?? '')?.name ?? '';
  return waveEvidence(rollout, wave, evidence, await reachOf(unitsOf, rollout, next));
}

/** `bake of 10% in eu-west-1`. */
function bakesText(bakes: readonly Bake[]): string {
  return listOf(bakes.map(({ region, permille }) => `bake of ${permille / 10}% in ${region}`));
}

/** A request to skip bakes of a wave, as people and programs read it. */
export const SkipView = z.strictObject({
  request: z.string(),
  state: z.enum(APPROVAL_STATES),
  requestedBy: z.string(),
  reason: z.string(),
  expiresAt: isoTime,
  bakes: z.array(z.strictObject({ region: z.string(), permille: count })).readonly(),
  decidedBy: z.string().nullable(),
  lapsedReason: z.string().nullable().describe('why it does not count any more'),
});
export type SkipView = z.infer<typeof SkipView>;

/** The newest request to skip a bake; null where there is none, or where its bake is over. */
export async function skipAsked(control: pg.Pool, rollout: Rollout): Promise<SkipView | null> {
  const [row] = await readRequests(control, rollout.id, 'skip');
  if (row === undefined) return null;
  const bakes = bakesOf(row.asked);
  const open = rollout.parts.some(
    ({ region, step, done }) => !done && bakes.some((each) => each.region === region && each.step === step),
  );
  if (!open) return null;
  return {
    request: row.request,
    state: row.state,
    requestedBy: row.requested_by,
    reason: row.reason,
    expiresAt: row.expires_at.toISOString(),
    bakes: bakes.map(({ region, permille }) => ({ region, permille })),
    decidedBy: row.decided_by,
    lapsedReason: row.lapsed_reason,
  };
}
