import { createHash } from 'node:crypto';
import { canonicalJson } from '../audit/canonical-json.js';
import type { Verdict } from '../guard/verdict.js';

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

/** What an approver has seen, and what their approval is bound to. Plain JSON. */
export interface WaveEvidence {
  readonly rollout: string;
  readonly version: string;
  /** The wave that is to begin. */
  readonly wave: string;
  readonly regions: readonly {
    readonly region: string;
    readonly permille: number;
    readonly runs: number;
    readonly changes: number;
    /** The steps that it left without their bake; absent: none. */
    readonly skipped?: readonly { readonly step: number; readonly by: string; readonly reason: string }[];
    readonly verdicts: Readonly<Record<string, Verdict>>;
  }[];
}

/** SHA-256, in hexadecimal, of the evidence's canonical JSON. */
export function hashOfEvidence(evidence: WaveEvidence): string {
  return createHash('sha256').update(canonicalJson(evidence)).digest('hex');
}

/** From best to worst. */
const RANKS: readonly Verdict[] = ['pass', 'too-few', 'no-data', 'unreachable', 'fail'];

/**
 * In what way evidence has become worse since it was approved; undefined where it has not: there may be more of
 * it. Worse is a rule that says something worse, or says nothing any more, a region that lost its share, and a bake that
 * was skipped.
 */
export function worsened(approved: WaveEvidence, now: WaveEvidence): string | undefined {
  for (const before of approved.regions) {
    const after = now.regions.find(({ region }) => region === before.region);
    if (after === undefined || after.permille < before.permille)
      return `${before.region} has a smaller share`;
    if ((after.skipped?.length ?? 0) > (before.skipped?.length ?? 0))
      return `a bake of ${before.region} was skipped`;
    for (const [rule, verdict] of Object.entries(before.verdicts)) {
      const said = after.verdicts[rule];
      if (said === undefined) return `${rule} in ${before.region} says nothing any more`;
      if (RANKS.indexOf(said) > RANKS.indexOf(verdict)) {
        return `${rule} in ${before.region} said ${verdict}, and now says ${said}`;
      }
    }
  }
  return undefined;
}
