import { formatDurationMs } from '../kernel/duration.js';
import type { RolloutPolicy, Wave } from '../flags/rollout-policy.js';
import type { RegionEvidence, RuleVerdict } from './evidence.js';
import { promotionTime } from './promotion-time.js';
import type { PartState } from './rollout-states.js';

/** How far a region has come. */
export interface Part {
  readonly region: string;
  /** The step, from 0, whose share the region has; -1 before its first. */
  readonly step: number;
  /** Since when it has that share, unchanged by hand. Null before the first step. */
  readonly since: Date | null;
  /** Whether the bake of its last step has passed. */
  readonly done: boolean;
  /** Who skipped the bake of this step, and why. */
  readonly waived?: Waiver;
  /** The steps that it left, or ended at, without their bake. */
  readonly skipped: readonly SkippedBake[];
}

/** Who skipped a bake, and why. */
export interface Waiver {
  readonly by: string;
  /** Absent: nobody had to agree, in a release before. */
  readonly approvedBy?: string;
  readonly reason: string;
}

/** A step, from 0, whose bake was skipped. */
export interface SkippedBake extends Waiver {
  readonly step: number;
}

/** Where a rollout stands. */
export interface Standing {
  readonly version: string;
  readonly paused: boolean;
  readonly parts: readonly Part[];
  /** Since when somebody has looked at the evidence without a gap. */
  readonly watchedSince: Date;
  /** The waves that a second person has agreed to, on evidence that has not become worse since. */
  readonly approved: ReadonlySet<string>;
}

/** A region that gets its next step's share, or is done. */
export interface RegionMove {
  readonly region: string;
  readonly to: number | 'done';
  /** The bake that it leaves out; absent: it has passed. */
  readonly skips?: SkippedBake;
}

/** What one region does, and why. */
export interface PartPlan {
  readonly region: string;
  readonly state: PartState;
  readonly reason: string;
  /** Before this it cannot move, as far as is known. Null where that hangs on a person. */
  readonly earliest: Date | null;
  /** The bake that it leaves out to be ready. */
  readonly skips?: SkippedBake;
}

export type Decision =
  /** Give each region named its next share. Without any: the rollout is complete. */
  | { readonly action: 'advance'; readonly moves: readonly RegionMove[]; readonly reason: string }
  /** Time and good evidence will do. */
  | { readonly action: 'wait'; readonly reason: string; readonly earliest: Date | null }
  /** Something must be put right, or somebody must agree, first. */
  | {
      readonly action: 'hold';
      readonly reason: string;
      readonly earliest: Date | null;
      /** The wave that waits for a second person. */
      readonly approvalOf?: string;
    }
  /** The version is at fault: back to zero everywhere. */
  | {
      readonly action: 'abort';
      readonly reason: string;
      readonly region: string;
      readonly failed?: RuleVerdict;
    };

export interface AdvancePlan {
  readonly decision: Decision;
  /** Of every region, in the order of the waves. */
  readonly parts: readonly PartPlan[];
}

/**
 * Decides a rollout's next move. Pure: policy, where it stands, evidence and time in, the move and its reason out.
 *
 * A table of what each finding does, worst first; a finding in any region where the version has a share counts:
 *
 * | finding                                             | to the rollout                                 |
 * | --------------------------------------------------- | ---------------------------------------------- |
 * | a rule fails, or the version is quarantined          | abort, even while paused, frozen or waived      |
 * | paused                                              | hold                                           |
 * | a rule has no data or cannot be reached; a gate killed | hold                                        |
 * | a region of the wave: flag off, changed by hand     | hold its part; the wave does not end           |
 * | a region of the wave: its newest run went wrong     | hold its part                                  |
 * | a region of the wave: no worker serves the version  | hold its next step; a last bake may still end  |
 * | too few runs, changes, minutes, or a rule says so   | its part keeps baking                          |
 * | nobody watched, and no run or verdict since         | its part keeps baking                          |
 * | the next wave needs a second person                 | hold, and ask                                  |
 * | outside a window, or within a freeze                | wait: nothing is promoted; a done bake is noted |
 *
 * A wave begins when every region of the one before is done. Each call moves a region by one step at most.
 * `slot` answers the n-th slot of the job's schedule from now, for the earliest time.
 */
export function planAdvance(
  policy: RolloutPolicy,
  standing: Standing,
  evidence: readonly RegionEvidence[],
  now: Date,
  slot: (n: number) => Date | undefined = () => undefined,
): AdvancePlan {
  const look: Look = { policy, standing, evidence, now, slot };
  const current = policy.waves.find((wave) => !wave.regions.every((region) => partOf(look, region).done));
  const parts = policy.waves.flatMap((wave) =>
    wave.regions.map((region) => planPart(look, wave, wave === current, region)),
  );
  return { decision: decide(look, current, parts), parts };
}

interface Look {
  readonly policy: RolloutPolicy;
  readonly standing: Standing;
  readonly evidence: readonly RegionEvidence[];
  readonly now: Date;
  readonly slot: (n: number) => Date | undefined;
}

function decide(look: Look, current: Wave | undefined, parts: readonly PartPlan[]): Decision {
  const { standing, now } = look;
  const fault = faultOf(look);
  if (fault) return fault;
  const never = { earliest: null };
  if (standing.paused)
    return { action: 'hold', reason: 'paused: portcullis rollout resume goes on', ...never };
  if (current === undefined) {
    return {
      action: 'advance',
      moves: [],
      reason: completeText(look),
    };
  }
  const blind = blindnessOf(look);
  if (blind !== undefined) return { action: 'hold', reason: blind, ...never };

  const inWave = parts.filter(({ region }) => current.regions.includes(region));
  const ready = inWave.filter(({ state }) => state === 'ready').map((part) => moveOf(look, current, part));
  const ends = ready.filter(({ to }) => to === 'done');
  const promotions = ready.filter(({ to }) => to !== 'done');
  if (promotions.length > 0) {
    const unapproved = approvalMissing(look, current);
    const { at, held } = promotionTime(look.policy, now);
    if (unapproved === undefined && held === undefined) {
      return { action: 'advance', moves: ready, reason: movesText(look, current, ready) };
    }
    if (ends.length === 0) {
      return unapproved === undefined
        ? { action: 'wait', reason: held ?? '', earliest: at }
        : { action: 'hold', reason: unapproved, earliest: null, approvalOf: current.name };
    }
  }
  if (ends.length > 0) return { action: 'advance', moves: ends, reason: movesText(look, current, ends) };

  const held = inWave.filter(({ state }) => state === 'held');
  const baking = inWave.filter(({ state }) => state === 'baking');
  const said = [...baking, ...held].map(({ region, reason }) => `${region}: ${reason}`).join('; ');
  if (baking.length === 0) return { action: 'hold', reason: said, ...never };
  return { action: 'wait', reason: said, earliest: soonest(baking) };
}

/**
 * A version that is at fault, in any region where it has a share. The rule that failed comes first: it tells more
 * than the quarantine that follows from it, and its trip may be unfinished.
 */
function faultOf({ standing, evidence }: Look): Decision | undefined {
  for (const { region, verdicts } of evidence) {
    if (!begun(standing, region)) continue;
    const failed = verdicts.find(({ verdict }) => verdict === 'fail');
    if (failed) return { action: 'abort', reason: `${region}: ${failed.reason}`, region, failed };
  }
  for (const { region, quarantined } of evidence) {
    if (quarantined === undefined) continue;
    return { action: 'abort', reason: `${standing.version} is quarantined: ${quarantined}`, region };
  }
  return undefined;
}

/** Why nothing may be promoted anywhere, in words: what cannot be seen is never taken for good. */
function blindnessOf({ standing, evidence }: Look): string | undefined {
  for (const { region, killed, verdicts } of evidence) {
    if (!begun(standing, region)) continue;
    if (killed !== undefined) return `${region} is killed: ${killed}`;
    const mute = verdicts.find(({ verdict }) => verdict === 'no-data' || verdict === 'unreachable');
    if (mute) return `${region}: ${mute.reason}`;
  }
  return undefined;
}

function planPart(look: Look, wave: Wave, isCurrent: boolean, region: string): PartPlan {
  const part = partOf(look, region);
  const seen = evidenceOf(look, region);
  const plan = (state: PartState, reason: string, earliest: Date | null = null): PartPlan => ({
    region,
    state,
    reason,
    earliest,
  });
  if (part.done) return plan('done', doneText(wave, part));
  if (!isCurrent) return plan('waiting', `wave ${wave.name} has not begun`);
  if (seen.flag.as !== 'set') return plan('held', seen.flag.reason);
  if (seen.killed !== undefined) return plan('held', `killed: ${seen.killed}`);
  // A share that nobody serves is work that nobody does, and evidence that never comes.
  const unserved = seen.served ? undefined : unservedText(look.standing.version);
  if (part.step < 0) {
    return unserved === undefined
      ? plan('ready', `may have its first share`, promotionTime(look.policy, look.now).at)
      : plan('held', unserved);
  }
  const mute = seen.verdicts.find(({ verdict }) => verdict === 'no-data' || verdict === 'unreachable');
  if (mute) return plan('held', mute.reason);
  const lacking = lackOf(look, wave, part, seen);
  // A bake that has passed by itself is not skipped.
  const takesStep = part.step + 1 < wave.stepsPermille.length;
  if (part.waived && (seen.runFault !== undefined || lacking !== undefined)) {
    if (takesStep && unserved !== undefined) return plan('held', unserved);
    const skips = { step: part.step, ...part.waived };
    return {
      ...plan(
        'ready',
        `its bake is skipped, not checked: by ${skipperText(skips)}: ${skips.reason}`,
        look.now,
      ),
      skips,
    };
  }
  if (seen.runFault !== undefined) return plan('held', seen.runFault);
  const progress = progressText(wave, part, seen, look.now);
  if (lacking === undefined && takesStep && unserved !== undefined) return plan('held', unserved);
  if (lacking === undefined) return plan('ready', progress, promotionTime(look.policy, look.now).at);
  return plan(
    'baking',
    lacking === '' ? progress : `${progress}; ${lacking}`,
    earliestOf(look, wave, part, seen),
  );
}

/** Why a region gets no further share where no worker can run the version. */
export function unservedText(version: string): string {
  return `no worker serves ${version}`;
}

/** What the bake still lacks: empty where the figures say it all, undefined where it is complete. */
function lackOf(look: Look, { bake }: Wave, part: Part, seen: RegionEvidence): string | undefined {
  const since = part.since ?? look.now;
  const few = seen.verdicts.find(({ verdict }) => verdict === 'too-few');
  if (few) return few.reason;
  const judgedFrom = since > look.standing.watchedSince ? since : look.standing.watchedSince;
  const stale = seen.verdicts.find(({ judgedAt }) => judgedAt < judgedFrom);
  if (stale) return `${stale.rule} has not been judged since ${judgedFrom.toISOString()}`;
  // What happened while nobody watched is evidence, but never the only one.
  if (look.standing.watchedSince > since && seen.runsWatched === 0) {
    return `no worker was watching before ${look.standing.watchedSince.toISOString()}: waiting for one more run`;
  }
  const elapsedMs = look.now.getTime() - since.getTime();
  // At least one run, whatever the policy's figures: nothing is never evidence.
  const complete =
    seen.runs >= Math.max(1, bake.runs) && seen.changes >= bake.changes && elapsedMs >= bake.timeMs;
  return complete ? undefined : '';
}

function earliestOf(look: Look, { bake }: Wave, part: Part, seen: RegionEvidence): Date {
  const runsMissing = Math.max(bake.runs - seen.runs, seen.changes < bake.changes ? 1 : 0);
  const byTime = (part.since ?? look.now).getTime() + bake.timeMs;
  const byRuns = runsMissing > 0 ? (look.slot(runsMissing)?.getTime() ?? 0) : 0;
  return promotionTime(look.policy, new Date(Math.max(look.now.getTime(), byTime, byRuns))).at;
}

/** `2 of 3 runs, 41 of 50 changes, 37 of 60 min`. */
function progressText({ bake }: Wave, part: Part, seen: RegionEvidence, now: Date): string {
  const elapsedMs = Math.max(0, now.getTime() - (part.since ?? now).getTime());
  return [
    `${seen.runs} of ${bake.runs} runs`,
    `${seen.changes} of ${bake.changes} changes`,
    bake.timeMs >= MINUTE_MS
      ? `${Math.floor(elapsedMs / MINUTE_MS)} of ${Math.round(bake.timeMs / MINUTE_MS)} minutes`
      : `${formatDurationMs(elapsedMs)} of ${formatDurationMs(bake.timeMs)}`,
  ].join(', ');
}

const MINUTE_MS = 60_000;

function approvalMissing({ standing }: Look, wave: Wave): string | undefined {
  const begins = wave.regions.every((region) => !begun(standing, region));
  if (!begins || wave.approvals === 0 || standing.approved.has(wave.name)) return undefined;
  return `wave ${wave.name} waits for a second person's approval`;
}

function moveOf(look: Look, wave: Wave, { region, skips }: PartPlan): RegionMove {
  const { step } = partOf(look, region);
  const to = step + 1 < wave.stepsPermille.length ? step + 1 : 'done';
  return { region, to, ...(skips && { skips }) };
}

function movesText(look: Look, wave: Wave, moves: readonly RegionMove[]): string {
  const texts = moves.map(({ region, to, skips }) => {
    const from = partOf(look, region).step;
    const without = skips
      ? ` without the bake of ${shareText(wave, from)}, skipped by ${skipperText(skips)}`
      : '';
    if (to === 'done') return `${region} is done${without}`;
    return `${region} from ${from < 0 ? '0%' : shareText(wave, from)} to ${shareText(wave, to)}${without}`;
  });
  return `wave ${wave.name}: ${texts.join(', ')}`;
}

function shareText(wave: Wave, step: number): string {
  return `${(wave.stepsPermille[step] ?? 0) / 10}%`;
}

/** `100%, baked`, unless bakes were skipped. */
function doneText(wave: Wave, { step, skipped }: Part): string {
  const share = shareText(wave, step);
  return skipped.length === 0
    ? `${share}, baked`
    : `${share}, not every step checked: ${skippedText(wave, skipped)}`;
}

function skippedText(wave: Wave, skipped: readonly SkippedBake[]): string {
  return skipped
    .map((each) => `bake of ${shareText(wave, each.step)} skipped by ${skipperText(each)}: ${each.reason}`)
    .join('; ');
}

/** `ann, approved by bob`. */
export function skipperText({ by, approvedBy }: Pick<Waiver, 'by' | 'approvedBy'>): string {
  return approvedBy === undefined ? by : `${by}, approved by ${approvedBy}`;
}

/** What a rollout came to. A bake that was skipped has not passed. */
function completeText({ policy, standing: { version, parts } }: Look): string {
  const skipped = parts.flatMap((part) => {
    const wave = policy.waves.find(({ regions }) => regions.includes(part.region));
    return wave === undefined || part.skipped.length === 0
      ? []
      : [`${part.region}: ${skippedText(wave, part.skipped)}`];
  });
  const complete = `rollout of ${version} complete at its last steps`;
  return skipped.length === 0
    ? `${complete}; every bake passed`
    : `${complete}; not every step was checked: ${skipped.join('; ')}`;
}

function soonest(parts: readonly PartPlan[]): Date | null {
  const times = parts.flatMap(({ earliest }) => (earliest ? [earliest.getTime()] : []));
  return times.length === 0 ? null : new Date(Math.min(...times));
}

function begun(standing: Standing, region: string): boolean {
  return standing.parts.some((part) => part.region === region && part.step >= 0);
}

function partOf({ standing }: Look, region: string): Part {
  return (
    standing.parts.find((part) => part.region === region) ?? {
      region,
      step: -1,
      since: null,
      done: false,
      skipped: [],
    }
  );
}

/** A region of which nothing is known has not even a flag that is on. */
function evidenceOf({ evidence }: Look, region: string): RegionEvidence {
  return (
    evidence.find((seen) => seen.region === region) ?? {
      region,
      flag: { as: 'off', reason: 'unknown' },
      served: false,
      runs: 0,
      changes: 0,
      runsWatched: 0,
      verdicts: [],
    }
  );
}
