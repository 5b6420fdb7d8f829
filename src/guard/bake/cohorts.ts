import type { UnitChange } from './unit-changes.js';

/** A unit's bad outcome. */
export interface UnitOutcome {
  readonly unit: string;
  readonly at: Date;
}

/** What an outcome says of a candidate: who had it, and who might have. */
export interface Look {
  readonly newEvents: number;
  readonly candidateEvents: number;
  /** The candidate's share of those at risk just before. */
  readonly theta: number;
}

const HOUR_MS = 3_600_000;
/** Hours since the change at which a stratum ends: trouble shows soon, so only changes of an age are compared. */
const STRATA_HOURS = [1, 6, 24, 72, 168];

/**
 * Who has whose change, and who has had a bad outcome already: a unit counts at its first, for its outcomes
 * come in bursts. Fed with outcomes in their order, it says of each what the `outcome` rule needs (docs/reference/
 * guard.md). The same changes and outcomes in the same order give the same answers.
 */
export class Cohorts {
  private readonly changes = new Map<string, UnitChange[]>();
  private readonly struck = new Set<string>();
  /** When the candidate changed its first unit; undefined: it has changed none. */
  readonly begunAt: Date | undefined;

  /** `changes` by unit and time; `struck`: units that have had their first bad outcome. */
  constructor(
    private readonly candidate: string,
    changes: readonly UnitChange[],
    struck: Iterable<string> = [],
  ) {
    for (const change of changes) {
      const of = this.changes.get(change.unit);
      if (of) of.push(change);
      else this.changes.set(change.unit, [change]);
    }
    for (const unit of struck) this.struck.add(unit);
    const begun = changes.filter(({ version }) => version === candidate).map(({ appliedAt }) => appliedAt);
    this.begunAt = begun.reduce<Date | undefined>(
      (first, each) => (first === undefined || each < first ? each : first),
      undefined,
    );
  }

  /** The version whose change a unit had at a moment: null where it had none, or was restored. */
  versionOf(unit: string, at: Date): string | null {
    return this.standing(unit, at)?.version ?? null;
  }

  /** Takes in one outcome. Undefined: it says nothing, since the unit had no version's change, or it is not its first. */
  take({ unit, at }: UnitOutcome): Look | undefined {
    if (this.struck.has(unit)) return undefined;
    const standing = this.standing(unit, at);
    const look =
      standing === undefined
        ? undefined
        : {
            newEvents: 1,
            candidateEvents: standing.version === this.candidate ? 1 : 0,
            theta: this.share(at, stratumOf(standing, at)),
          };
    this.struck.add(unit);
    return look;
  }

  private share(at: Date, stratum: number): number {
    let all = 0;
    let candidate = 0;
    for (const unit of this.changes.keys()) {
      if (this.struck.has(unit)) continue;
      const standing = this.standing(unit, at);
      if (standing === undefined || stratumOf(standing, at) !== stratum) continue;
      all += 1;
      if (standing.version === this.candidate) candidate += 1;
    }
    return candidate / all;
  }

  /** The change that stood at a unit; one that was restored no longer counts. */
  private standing(unit: string, at: Date): UnitChange | undefined {
    const last = this.changes.get(unit)?.findLast(({ appliedAt }) => appliedAt <= at);
    return last?.version === null ? undefined : last;
  }
}

function stratumOf({ appliedAt }: UnitChange, at: Date): number {
  const hours = (at.getTime() - appliedAt.getTime()) / HOUR_MS;
  return STRATA_HOURS.findLastIndex((end) => hours >= end);
}
