import type pg from 'pg';
import { z } from 'zod';
import { canonicalJson } from '../audit/canonical-json.js';
import { APPROVAL_STATES } from '../access/approvals.js';
import { listFlags, type FlagState } from '../flags/flag-store.js';
import { loadPolicy, policyDocumentOf } from '../flags/policy-store.js';
import { formatDurationMs } from '../kernel/duration.js';
import type { Wave } from '../flags/rollout-policy.js';
import { UNITS } from '../kernel/words.js';
import { VERDICTS } from '../containment/verdict.js';
import { nthSlot } from '../runs/slots.js';
import { databaseTime } from '../postgres/database-clock.js';
import { announcedVersions } from './announce.js';
import type { RegionEvidence } from './evidence.js';
import { planAdvance, unservedText, type Decision, type PartPlan } from './plan-advance.js';
import { type EvidenceSources, permilleOf, readEvidence, type UnitsOf } from './read-evidence.js';
import {
  newestRollout,
  rolloutEvents,
  rolloutRevision,
  type Rollout,
  type StoredPart,
} from './rollout-store.js';
import { ROLLOUT_STATES, type RolloutStatus, PART_STATES } from './rollout-states.js';
import { skipAsked, SkipView } from './skip-bake.js';
import { waveApprovals, type WaveApproval } from './wave-approval.js';
import { count, named, isoTime, UnitLabel } from '../kernel/schema.js';
import { listBreakGlass, BreakGlass } from '../flags/browse-break-glass.js';

const ms = z.number().min(0).describe('milliseconds');

export const PartView = named(
  'RolloutPart',
  z.strictObject({
    region: z.string(),
    state: z.enum(PART_STATES).nullable().describe('null once it is over'),
    reason: z.string(),
    blockers: z.array(z.string()).readonly().describe('what keeps a step from going on, each in a few words'),
    earliest: isoTime.nullable().describe('when it can move, where time and the schedule alone decide that'),
    permille: count.describe(
      'the share that the rollout has given, in thousandths; the flag may say otherwise, which holds the region',
    ),
    step: count.describe('from 1; 0 before the first'),
    steps: count,
    since: isoTime.nullable(),
    bake: z
      .strictObject({
        runs: count,
        runsNeeded: count,
        changes: count,
        changesNeeded: count,
        elapsedMs: ms,
        elapsedNeededMs: ms,
      })
      .nullable()
      .describe('null where nothing bakes'),
    skipped: z
      .array(
        z.strictObject({
          permille: count,
          by: z.string(),
          approvedBy: z.string().nullable().describe('null: nobody had to agree, in a release before'),
          reason: z.string(),
        }),
      )
      .readonly()
      .describe(
        'steps that it left without their bake, which nobody checked, by the share of the step in thousandths',
      ),
    verdicts: z
      .array(
        z.strictObject({
          rule: z.string(),
          verdict: z.enum(VERDICTS),
          reason: z.string(),
        }),
      )
      .readonly(),
    units: count.nullable().describe('of the region; null where that cannot be told'),
    waiting: count.nullable().describe('about how many of them have a version that no worker can run'),
    withoutWorker: z.array(z.string()).readonly().describe('versions with a share that no worker can run'),
  }),
);
export type PartView = z.infer<typeof PartView>;

const WaveView = z.strictObject({
  name: z.string(),
  approvals: count.describe('how many others must agree before it begins'),
  approval: z
    .strictObject({
      request: z.string(),
      state: z.enum(APPROVAL_STATES),
      decidedBy: z.string().nullable(),
      introducedBy: z.string().nullable().describe('who introduced the person who approved'),
      caution: z.string().nullable().describe('what speaks against there having been two people'),
      lapsedReason: z.string().nullable().describe('why it does not count any more'),
      againBecause: z
        .string()
        .nullable()
        .describe('why the previous request no longer counts, so that a new one was made'),
    })
    .nullable(),
  regions: z.array(PartView).readonly(),
});
export type WaveView = z.infer<typeof WaveView>;

/** A rollout as people and programs read it. */
export const RolloutView = named(
  'Rollout',
  z.strictObject({
    id: z.guid(),
    job: z.string(),
    version: z.string(),
    revision: count.describe('another number after each change of any rollout of the job; see ifRevision'),
    unitLabel: UnitLabel,
    status: z.enum(Object.keys(ROLLOUT_STATES) as [RolloutStatus, ...RolloutStatus[]]),
    reason: z.string(),
    startedBy: z.string(),
    startedAt: isoTime,
    endedAt: isoTime.nullable(),
    endedBy: z.string().nullable(),
    endReason: z.string().nullable(),
    incident: z
      .string()
      .nullable()
      .describe(
        'the newest incident of the version since it began, or one still open: see /api/v1/incidents',
      ),
    next: z
      .strictObject({
        action: z.enum(['advance', 'wait', 'hold', 'abort']),
        reason: z.string(),
        blockers: z.array(z.string()).readonly().describe('what keeps it from moving, each in a few words'),
        earliest: isoTime
          .nullable()
          .describe('when it can move, where time and the schedule alone decide that'),
      })
      .nullable()
      .describe('what it does next and why; null once it is over'),
    policyChanged: z.boolean().describe('whether the policy’s waves have changed since this rollout began'),
    breakGlass: z
      .array(BreakGlass)
      .readonly()
      .describe('the break-glass that the version ever had, newest first'),
    skip: SkipView.nullable().describe('the newest request to skip a bake that is under way'),
    waves: z.array(WaveView).readonly(),
    events: z
      .array(z.strictObject({ at: isoTime, action: z.string(), by: z.string(), reason: z.string() }))
      .readonly()
      .describe('what happened last, newest first'),
  }),
);
export type RolloutView = z.infer<typeof RolloutView>;

/** What a view is made of. */
export interface ViewSources extends EvidenceSources {
  readonly control: pg.Pool;
  readonly unitsOf: UnitsOf;
  /** Where flags are, if elsewhere, where a rollout can't set them. */
  readonly flagsAt?: string | undefined;
}

const EVENTS = 10;

/** The job's rollout that is under way, or else its last; undefined where it never had one. Changes nothing. */
export async function viewRollout(sources: ViewSources, job: string): Promise<RolloutView | undefined> {
  const { control } = sources;
  // Before all else that is read: what changes meanwhile makes it stale.
  const revision = await rolloutRevision(control, job);
  const rollout = await newestRollout(control, job);
  if (!rollout) return undefined;
  const now = await databaseTime(control);
  const [flags, announced, approvals, events, document, loaded] = await Promise.all([
    listFlags(control, job),
    announcedVersions(control, job),
    waveApprovals(control, rollout.id),
    rolloutEvents(control, rollout.id, EVENTS),
    policyDocumentOf(control, job),
    loadPolicy(control, job),
  ]);
  const served = announced.find(({ version }) => version === rollout.version)?.regions ?? [];
  const evidence = await readEvidence(sources, rollout, flags, served, now);
  const approved = new Set(
    approvals
      .filter((each) => each.state === 'approved' && each.lapsedReason === null)
      .map(({ wave }) => wave),
  );
  const slot = (n: number) => (loaded.ok ? nthSlot(loaded.policy.schedule, n, now) : undefined);
  const standing = { ...rollout, paused: rollout.status === 'paused', approved };
  const underWay = ROLLOUT_STATES[rollout.status].underWay;
  const plan = underWay ? planAdvance(rollout.policy, standing, evidence, now, slot) : undefined;
  const manned = (version: string, region: string): boolean =>
    announced.some((each) => each.version === version && each.regions.includes(region));
  const part = async (stored: StoredPart): Promise<PartView> => {
    const { region } = stored;
    const seen = evidence.find((each) => each.region === region);
    const flag = flags.find((each) => each.region === region);
    const planned = plan?.parts.find((each) => each.region === region);
    const units = (await sources.unitsOf(job, region).catch(() => undefined)) ?? null;
    return partView(rollout, stored, { seen, flag, planned, units, manned, now });
  };
  const waves = await Promise.all(
    rollout.policy.waves.map(async ({ name, approvals: needed, regions }): Promise<WaveView> => ({
      name,
      approvals: needed,
      approval: approvalOf(approvals.filter(({ wave }) => wave === name)),
      regions: await Promise.all(rollout.parts.filter(({ region }) => regions.includes(region)).map(part)),
    })),
  );
  return {
    id: rollout.id,
    job,
    version: rollout.version,
    revision,
    unitLabel: loaded.ok ? loaded.policy.unit : UNITS,
    status: rollout.status,
    reason: rollout.reason,
    startedBy: rollout.startedBy,
    startedAt: rollout.startedAt.toISOString(),
    endedAt: rollout.endedAt?.toISOString() ?? null,
    endedBy: rollout.endedBy,
    endReason: rollout.endReason,
    incident: await incidentOf(control, rollout),
    next: plan
      ? nextOf(
          plan.decision,
          waves.flatMap(({ regions }) => regions),
          sources.flagsAt,
        )
      : null,
    policyChanged: underWay && canonicalJson(document?.rollout ?? null) !== canonicalJson(rollout.document),
    skip: underWay ? await skipAsked(control, rollout) : null,
    breakGlass: await listBreakGlass(control, { job: rollout.job, version: rollout.version }),
    waves,
    events: events.map(({ at, action, by, reason }) => ({ at: at.toISOString(), action, by, reason })),
  };
}

async function incidentOf(control: pg.Pool, { job, version, startedAt }: Rollout): Promise<string | null> {
  const { rows } = await control.query<{ id: string }>(
    `select id from portcullis_control.incident
     where job = $1 and version = $2 and (opened_at >= $3 or state <> 'closed')
     order by opened_at desc limit 1`,
    [job, version, startedAt],
  );
  return rows[0]?.id ?? null;
}

/**
 * What it does next. A date is given only where it stands still: of a step that lacks changes or a worker the next run
 * is always in sight, and it slides for ever.
 */
function nextOf(
  decision: Decision,
  parts: readonly PartView[],
  flagsAt: string | undefined,
): NonNullable<RolloutView['next']> {
  const { action, reason } = decision;
  if (flagsAt !== undefined && action !== 'abort') {
    const elsewhere = `flags come from the Unleash server at ${flagsAt}, which a rollout does not set`;
    return { action: 'hold', reason: elsewhere, blockers: [elsewhere], earliest: null };
  }
  if (action === 'advance' || action === 'abort') return { action, reason, blockers: [], earliest: null };
  const baking = parts.filter(({ state }) => state === 'baking' || state === 'held');
  const isOfParts = action === 'wait' ? parts.some(({ state }) => state === 'baking') : baking.length > 0;
  const blockers = isOfParts
    ? baking.flatMap(({ region, blockers: own }) => own.map((each) => `${region}: ${each}`))
    : [];
  const times = parts.flatMap(({ state, earliest }) =>
    state === 'baking' && earliest !== null ? [earliest] : [],
  );
  const fixed = isOfParts ? (times.sort()[0] ?? null) : (decision.earliest?.toISOString() ?? null);
  return { action, reason, blockers: blockers.length > 0 ? blockers : [reason], earliest: fixed };
}

/** The newest of a wave's requests. */
function approvalOf([approval, before]: readonly WaveApproval[]): WaveView['approval'] {
  if (!approval) return null;
  const { request, state, decidedBy, introducedBy, caution, lapsedReason } = approval;
  const againBecause = before?.lapsedReason ?? null;
  return { request, state, decidedBy, introducedBy, caution, lapsedReason, againBecause };
}

interface Known {
  readonly seen: RegionEvidence | undefined;
  readonly flag: FlagState | undefined;
  readonly planned: PartPlan | undefined;
  readonly units: number | null;
  readonly manned: (version: string, region: string) => boolean;
  readonly now: Date;
}

/** What a step lacks: figures that are short of what its bake needs, or why it is held. */
function lacking(
  { bake }: Wave,
  { since }: StoredPart,
  seen: RegionEvidence | undefined,
  { state, reason }: PartPlan,
  now: Date,
): string[] {
  if (state === 'held') return [reason];
  if (state !== 'baking') return [];
  const elapsedMs = Math.max(0, now.getTime() - (since ?? now).getTime());
  const short = (has: number, needs: number, what: string): string[] =>
    has < needs ? [`${has} of ${needs} ${what}`] : [];
  const few = (seen?.verdicts ?? []).filter(({ verdict }) => verdict === 'too-few');
  const figures = [
    ...short(seen?.runs ?? 0, Math.max(1, bake.runs), 'runs'),
    ...short(seen?.changes ?? 0, bake.changes, 'changes'),
    ...(elapsedMs < bake.timeMs
      ? [`${formatDurationMs(elapsedMs)} of ${formatDurationMs(bake.timeMs)}`]
      : []),
    ...few.map((each) => each.reason),
  ];
  return figures.length > 0 ? figures : [reason];
}

function hasTooFew(seen: RegionEvidence | undefined): boolean {
  return (seen?.verdicts ?? []).some(({ verdict }) => verdict === 'too-few');
}

function partView({ policy, version }: Rollout, part: StoredPart, known: Known): PartView {
  const { seen, flag, planned, units, manned, now } = known;
  const { region, step, since, done } = part;
  const wave = policy.waves.find(({ regions }) => regions.includes(region));
  const withoutWorker = (flag?.enabled === true ? flag.variants : []).filter(
    (each) => !manned(each.version, region),
  );
  const waitingPermille = withoutWorker.reduce((sum, { permille }) => sum + permille, 0);
  const unserved = step >= 0 && !done && !manned(version, region);
  const lacks = wave === undefined || planned === undefined ? [] : lacking(wave, part, seen, planned, now);
  const blockers = unserved ? [...new Set([unservedText(version), ...lacks])] : lacks;
  const slides = unserved || (seen?.changes ?? 0) < (wave?.bake.changes ?? 0) || hasTooFew(seen);
  return {
    region,
    state: planned?.state ?? null,
    reason: planned?.reason ?? '',
    blockers,
    earliest: planned?.state === 'baking' && slides ? null : (planned?.earliest?.toISOString() ?? null),
    permille: permilleOf(policy, part),
    step: step + 1,
    steps: wave?.stepsPermille.length ?? 0,
    since: since?.toISOString() ?? null,
    bake:
      wave === undefined || since === null || done || planned === undefined
        ? null
        : {
            runs: seen?.runs ?? 0,
            runsNeeded: wave.bake.runs,
            changes: seen?.changes ?? 0,
            changesNeeded: wave.bake.changes,
            elapsedMs: Math.max(0, now.getTime() - since.getTime()),
            elapsedNeededMs: wave.bake.timeMs,
          },
    skipped: part.skipped.map(({ step: at, by, approvedBy = null, reason }) => ({
      permille: permilleOf(policy, { region, step: at }),
      by,
      approvedBy,
      reason,
    })),
    verdicts: (seen?.verdicts ?? []).map(({ rule, verdict, reason }) => ({ rule, verdict, reason })),
    units,
    waiting: units === null ? null : Math.round((units * waitingPermille) / 1000),
    withoutWorker: withoutWorker.map(({ version }) => version),
  };
}
