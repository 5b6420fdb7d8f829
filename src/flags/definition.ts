import { WHOLE_PERMILLE } from '../kernel/bucketing.js';
import { NAME } from './policy-values.js';
import type { Variant } from './variant.js';

/** What a flag answers where no version may act. */
export const HOLD = 'hold';

/** A version's share of the units. */
/** Which version may act for which share of a region's units. */
export interface FlagDefinition {
  /** `job.region`. */
  readonly name: string;
  readonly job: string;
  readonly region: string;
  readonly enabled: boolean;
  /** In order of their buckets, candidate first. What they leave of 1000 is held. */
  readonly variants: readonly Variant[];
  /** Grows with every change, the same in every process; 0 where the source has no such number. */
  readonly revision: number;
  /**
   * How a unit finds its variant, where it is not by its bucket under the flag's own name: by its bucket
   * under another, or only by asking the evaluator for each unit.
   */
  readonly bucketing?: { readonly group: string } | 'evaluate';
  /** Where the shares are those in force, held down to what their versions are admitted to: see admission.ts. */
  readonly admission?: AdmissionInForce;
}

/** Break-glass that counts now: see src/rollout/break-glass.ts. */
export interface BreakGlassInForce {
  /** The request that two people agreed on. */
  readonly id: string;
  readonly permille: number;
  /** Thousandths that the version is admitted to without it. */
  readonly admitted: number;
  /** When it ends by the control database's clock, ISO 8601 in UTC. */
  readonly until: string;
  /** The same on this process' monotonic clock, and no later: no clock that somebody sets makes it longer. */
  readonly endsAtMs: number;
}

/** What admissions made of a flag. */
export interface AdmissionInForce {
  /** Grows with every change of the flag's admissions. */
  readonly revision: number;
  /** Every version to which the flag gives more than it is admitted to. */
  readonly beyond: readonly {
    readonly version: string;
    readonly asked: number;
    readonly admitted: number;
  }[];
  /** Thousandths that the flag asks for, by version. */
  readonly asked?: ReadonlyMap<string, number>;
  /** The revision of each version's own admission. */
  readonly revisions?: ReadonlyMap<string, number>;
  /** The versions that act here beyond what a rollout has admitted, by break-glass. */
  readonly breakGlass?: ReadonlyMap<string, BreakGlassInForce>;
  /** Where the evaluator decides: the most of the region's units that each version may act for, in thousandths. */
  readonly limits?: ReadonlyMap<string, number>;
}

/** A flag that is there and can't be understood. */
export interface MalformedFlag {
  readonly name: string;
  readonly malformed: string;
  readonly revision: number;
}

export type ClosedCode =
  | 'flag-unknown'
  | 'flag-off'
  /** On, but no version has a share. */
  | 'flag-held'
  /** On, but no version that has a share is admitted. */
  | 'version-not-admitted'
  | 'flag-stale'
  | 'flag-unauthorised'
  | 'flag-malformed'
  | 'flag-unreachable';

/** What a flag says now: what it allows, or that it is closed and why. `ageMs`: since it was last heard. */
export type FlagAnswer =
  | { readonly open: true; readonly definition: FlagDefinition; readonly ageMs: number }
  | {
      readonly open: false;
      readonly code: ClosedCode;
      readonly reason: string;
      readonly revision?: number;
      /** Where admissions close it: their revision. */
      readonly admissionRevision?: number;
      /** The revision of each version's own admission, where it is known. */
      readonly admissionRevisions?: ReadonlyMap<string, number>;
      readonly ageMs?: number;
    };

export function flagName(job: string, region: string): string {
  return `${job}.${region}`;
}

/** The job and region of a flag's name; undefined where it is no flag of a job. */
export function jobAndRegion(name: string): { job: string; region: string } | undefined {
  const [job, region, ...more] = name.split('.');
  if (job === undefined || region === undefined || more.length > 0) return undefined;
  return NAME.test(job) && NAME.test(region) ? { job, region } : undefined;
}

/** A version and the buckets it has: above `after`, up to and including `upTo`. */
export interface Span {
  readonly version: string;
  readonly rule: string | undefined;
  readonly after: number;
  readonly upTo: number;
}

/** Lays the shares out over the buckets 1 to 1000, one behind the other. */
export function spansOf(variants: readonly Variant[]): Span[] {
  let after = 0;
  return variants.map(({ version, permille, rule }) => {
    const span = { version, rule, after, upTo: Math.min(after + permille, WHOLE_PERMILLE) };
    after = span.upTo;
    return span;
  });
}

/**
 * The versions that some unit had and no longer has: what they were allowed before must be fenced. An empty list of
 * variants is a flag that is off.
 */
export function narrowed(before: readonly Variant[], after: readonly Variant[]): string[] {
  const kept = spansOf(after);
  const losers = spansOf(before).filter((had) => {
    if (had.version === HOLD) return false;
    const covered = kept
      .filter(({ version, rule }) => version === had.version && rule === had.rule)
      .reduce(
        (sum, has) => sum + Math.max(0, Math.min(had.upTo, has.upTo) - Math.max(had.after, has.after)),
        0,
      );
    return covered < had.upTo - had.after;
  });
  return [...new Set(losers.map(({ version }) => version))];
}
