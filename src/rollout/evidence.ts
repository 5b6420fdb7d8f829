import { createHash } from 'node:crypto';
import { canonicalJson } from '../audit/canonical-json.js';
import { countOf, UNITS, unitsOf, type UnitLabel } from '../kernel/words.js';
import type { Verdict } from '../containment/verdict.js';

/** What a bake rule last said of a version in a region. */
export interface RuleVerdict {
  readonly rule: string;
  readonly verdict: Verdict;
  /** In words, with the figures. */
  readonly reason: string;
  readonly judgedAt: Date;
}

/** How a region's flag stands to what the rollout set. */
export type FlagStanding =
  | { readonly as: 'set' }
  /** Switched off: by hand, since a rollout never does that. */
  | { readonly as: 'off'; readonly reason: string }
  /** On, with other shares than the rollout set. */
  | { readonly as: 'changed'; readonly reason: string };

/** All that is known of a version in a region since it was given the share that it has there. */
export interface RegionEvidence {
  readonly region: string;
  readonly flag: FlagStanding;
  /** Whether a worker that announced itself of late can run the version here. */
  readonly served: boolean;
  /** Why its gate was killed; absent: it was not. */
  readonly killed?: string;
  /** Why the version was quarantined; absent: it was not. */
  readonly quarantined?: string;
  /** Runs of the version, begun under this share, that ended well; and the changes they applied. */
  readonly runs: number;
  readonly changes: number;
  /** How many of these runs ended since the rollout is being watched without a gap. */
  readonly runsWatched: number;
  /** What is wrong with the newest run under this share; absent: nothing. */
  readonly runFault?: string;
  /** One of each bake rule of the policy. */
  readonly verdicts: readonly RuleVerdict[];
}

/** What is known of a region, as it is put to an approver. Plain JSON. */
export interface RegionShown {
  readonly region: string;
  readonly permille: number;
  readonly runs: number;
  readonly changes: number;
  /** What holds it: its flag, a kill, its newest run; absent: nothing. */
  readonly trouble?: string;
  /** The steps that it left without their bake; absent: none. */
  readonly skipped?: readonly {
    readonly step: number;
    readonly by: string;
    readonly approvedBy?: string;
    readonly reason: string;
  }[];
  readonly verdicts: Readonly<Record<string, Verdict>>;
}

/** What an approver has seen, and what their approval is bound to. Plain JSON. */
export interface WaveEvidence {
  readonly rollout: string;
  readonly version: string;
  /** The wave that is to begin, or whose bake is to be skipped. */
  readonly wave: string;
  /** Every region that has begun. */
  readonly regions: readonly RegionShown[];
  /** Whom the step gives the version to; absent in requests of a release before. */
  readonly reach?: Reach;
}

export interface Reach {
  /** The shares that the step gives, in thousandths, by region. */
  readonly permille: Readonly<Record<string, number>>;
  /** About how many units these are; null where they could not be counted. */
  readonly units: number | null;
}

/** SHA-256, in hexadecimal, of the evidence's canonical JSON. */
export function hashOfEvidence(evidence: WaveEvidence): string {
  return createHash('sha256').update(canonicalJson(evidence)).digest('hex');
}

/** The verdict, by its rule, of a region whose evidence could not be read. */
export const UNREAD = 'evidence';

/** From best to worst. */
const RANKS: readonly Verdict[] = ['pass', 'too-few', 'no-data', 'unreachable', 'fail'];

/** A step reaches more than was approved from a quarter more units on, and at least so many. */
const MORE_UNITS = { times: 1.25, least: 10 } as const;

/**
 * In what way evidence or reach has become worse since it was put to an approver, with the figures of then and now;
 * undefined where it has not. More runs and changes are never worse. Worse is:
 *
 * | what                | worse                                                                                       |
 * | ------------------- | ------------------------------------------------------------------------------------------- |
 * | a rule              | says something worse (pass, too-few, no-data, unreachable, fail), or says nothing any more   |
 * | a region            | has a smaller share, fewer runs or changes, or is held: its flag, a kill, its newest run     |
 * | a bake              | was skipped                                                                                 |
 * | the step's reach    | another region, a greater share, or a quarter more units and at least 10                    |
 *
 * A region whose evidence cannot be read now is not compared: that holds the rollout, and says nothing of the version.
 */
export function worsened(then: WaveEvidence, now: WaveEvidence, label = UNITS): string | undefined {
  for (const before of then.regions) {
    const after = now.regions.find(({ region }) => region === before.region);
    if (after?.verdicts[UNREAD] === 'unreachable') continue;
    const worse = after === undefined ? 'is not part of it any more' : worseIn(before, after);
    if (worse !== undefined)
      return `${before.region} ${worse} (then: ${shownText(before)}; now: ${after === undefined ? 'nothing' : shownText(after)})`;
  }
  if (then.reach === undefined || now.reach === undefined) return undefined;
  return widened(then.reach, now.reach)
    ? `it would reach more (then: ${reachText(then.reach, label)}; now: ${reachText(now.reach, label)})`
    : undefined;
}

function worseIn(before: RegionShown, after: RegionShown): string | undefined {
  if (after.permille < before.permille) return 'has a smaller share';
  if (after.trouble !== undefined && before.trouble === undefined) return `is held: ${after.trouble}`;
  if (after.runs < before.runs || after.changes < before.changes) return 'has less evidence';
  if ((after.skipped?.length ?? 0) > (before.skipped?.length ?? 0)) return 'left a bake out';
  for (const [rule, verdict] of Object.entries(before.verdicts)) {
    const says = after.verdicts[rule];
    if (rule === UNREAD) continue;
    if (says === undefined) return `has no verdict of ${rule} any more`;
    if (RANKS.indexOf(says) > RANKS.indexOf(verdict)) return `has ${rule} ${says}, which was ${verdict}`;
  }
  return undefined;
}

function widened(then: Reach, now: Reach): boolean {
  const more =
    then.units !== null &&
    now.units !== null &&
    now.units > then.units * MORE_UNITS.times &&
    now.units >= then.units + MORE_UNITS.least;
  return (
    more || Object.entries(now.permille).some(([region, permille]) => permille > (then.permille[region] ?? 0))
  );
}

/** `10%, 2 runs, 41 changes, logins pass`. */
function shownText({ permille, runs, changes, skipped = [], verdicts, trouble }: RegionShown): string {
  return [
    `${permille / 10}%`,
    countOf(runs, 'run'),
    countOf(changes, 'change'),
    ...(skipped.length === 0 ? [] : [`${countOf(skipped.length, 'bake')} skipped`]),
    ...Object.entries(verdicts).map(([rule, verdict]) => `${rule} ${verdict}`),
    ...(trouble === undefined ? [] : [trouble]),
  ].join(', ');
}

function reachText({ permille, units }: Reach, label: UnitLabel): string {
  const where = Object.entries(permille).map(([region, share]) => `${share / 10}% of ${region}`);
  return [...where, ...(units === null ? [] : [`about ${unitsOf(units, label)}`])].join(', ');
}
