import type pg from 'pg';
import { canonicalJson } from '../audit/canonical-json.js';
import type { ApprovalState } from '../access/approvals.js';
import { listFlags, type FlagState } from '../flags/flag-store.js';
import { loadPolicy, policyDocumentOf } from '../flags/policy-store.js';
import { formatDurationMs } from '../kernel/duration.js';
import type { Wave } from '../flags/rollout-policy.js';
import { UNITS, type UnitLabel } from '../kernel/words.js';
import type { Verdict } from '../containment/verdict.js';
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
import { type PartState, ROLLOUT_STATES, type RolloutStatus } from './rollout-states.js';
import { type BreakGlass, listBreakGlass } from '../flags/break-glass.js';
import { skipAsked, type SkipView } from './skip-bake.js';
import { waveApprovals, type WaveApproval } from './wave-approval.js';

/** A rollout as people and programs read it. Times are ISO 8601 in UTC. */
export interface RolloutView {
  readonly id: string;
  readonly job: string;
  readonly version: string;
  /** Another number after each change of any rollout of the job. */
  readonly revision: number;
  /** What people are told that the job's units are. */
  readonly unitLabel: UnitLabel;
  readonly status: RolloutStatus;
  readonly reason: string;
  readonly startedBy: string;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly endedBy: string | null;
  readonly endReason: string | null;
  /** The newest incident of the version since the rollout began, or one that is still open; null where there is none. */
  readonly incident: string | null;
  /** What it does next and why; null once it is over. */
  readonly next: {
    readonly action: 'advance' | 'wait' | 'hold' | 'abort';
    readonly reason: string;
    /** What keeps it from moving, each in a few words: `eu-west-1: 0 of 10 changes`. Empty where nothing does. */
    readonly blockers: readonly string[];
    /** When it can move, where time and the schedule alone decide that; null where anything else is missing. */
    readonly earliest: string | null;
  } | null;
  /** Whether the policy has other waves by now, which the next rollout will go by. */
  readonly policyChanged: boolean;
  /** The newest request to skip a bake that is under way; null where there is none. */
  readonly skip: SkipView | null;
  /** The break-glass that the version ever had, newest first: a share that no step of a rollout gave. */
  readonly breakGlass: readonly BreakGlass[];
  readonly waves: readonly WaveView[];
  /** What happened last, newest first. */
  readonly events: readonly {
    readonly at: string;
    readonly action: string;
    readonly by: string;
    readonly reason: string;
  }[];
}

export interface WaveView {
  readonly name: string;
  /** How many others must agree before it begins. */
  readonly approvals: number;
  /** The newest request for that; null where there was none. */
  readonly approval: {
    readonly request: string;
    readonly state: ApprovalState;
    readonly decidedBy: string | null;
    readonly introducedBy: string | null;
    readonly caution: string | null;
    /** Why it does not count any more. */
    readonly lapsedReason: string | null;
    /** Why the request before it expired, so that it is asked again; null where there was none. */
    readonly againBecause: string | null;
  } | null;
  readonly regions: readonly PartView[];
}

export interface PartView {
  readonly region: string;
  readonly state: PartState | null;
  readonly reason: string;
  /** What keeps a step that bakes, or is held, from going on, each in a few words. */
  readonly blockers: readonly string[];
  /** When it can move, where time and the schedule alone decide that. */
  readonly earliest: string | null;
  /** The share that the rollout has given, in thousandths; the flag may say otherwise, which holds the region. */
  readonly permille: number;
  /** The step, from 1, and how many there are; 0 before the first. */
  readonly step: number;
  readonly steps: number;
  readonly since: string | null;
  /** What the step has of its bake, and what it needs; null where nothing bakes. */
  readonly bake: {
    readonly runs: number;
    readonly runsNeeded: number;
    readonly changes: number;
    readonly changesNeeded: number;
    readonly elapsedMs: number;
    readonly elapsedNeededMs: number;
  } | null;
  /** The steps that it left, or ended at, without their bake: by the share of the step, in thousandths. */
  readonly skipped: readonly {
    readonly permille: number;
    readonly by: string;
    /** Null: nobody had to agree, in a release before. */
    readonly approvedBy: string | null;
    readonly reason: string;
  }[];
  readonly verdicts: readonly { readonly rule: string; readonly verdict: Verdict; readonly reason: string }[];
  /** The units of the region; null where that cannot be told. */
  readonly units: number | null;
  /** About how many of them wait, since no worker can run the version that has them. */
  readonly waiting: number | null;
  /** The versions with a share here that no worker can run now. */
  readonly withoutWorker: readonly string[];
}

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
