import { SHARE_FLOOR } from '../flags/guard-document.js';
import { shareLimit, type Cap } from '../flags/guard-policy.js';
import { figure as say } from './in-words.js';
import type { Judged } from '../containment/verdict.js';

/** What caps look at, for one kind of change of one plan. */
export interface PlanFigures {
  readonly kind: string;
  readonly planned: number;
  /** Rows that the database deletes, or changes, with those; they count for a run and for a unit. */
  readonly cascading?: number;
  /** The unit with the most changes of this kind; absent where nothing of the kind is planned. */
  readonly largestUnit?: { readonly unit: string; readonly planned: number };
  /** The rows that the region has of the resource which the kind changes. */
  readonly rowsInRegion?: number;
}

export type CapName = 'perRun' | 'perUnit' | 'shareOfRegion';

/** A cap that a plan is over, with the figures. */
export interface CapExceeded {
  readonly kind: string;
  readonly cap: CapName;
  readonly planned: number;
  readonly limit: number;
  readonly reason: string;
}

/**
 * Judges a plan against the policy's caps. Pure. Answers every cap the plan is over, in the policy's order;
 * none means pass.
 */
export function exceededCaps(caps: readonly Cap[], figures: readonly PlanFigures[]): CapExceeded[] {
  const byKind = new Map(figures.map((each) => [each.kind, each]));
  return caps.flatMap((cap) => {
    const figure = byKind.get(cap.kind);
    if (!figure || figure.planned === 0) return [];
    const over: CapExceeded[] = [];
    const exceed = (name: CapName, planned: number, limit: number, reason: string): void => {
      over.push({ kind: cap.kind, cap: name, planned, limit, reason });
    };
    const { planned, cascading = 0, largestUnit, rowsInRegion } = figure;
    if (cap.perRun !== undefined && planned + cascading > cap.perRun) {
      exceed(
        'perRun',
        planned + cascading,
        cap.perRun,
        `${say(planned)} ${cap.kind}${cascading > 0 ? ` and ${say(cascading)} rows that go with them` : ''} planned, at most ${say(cap.perRun)} in a run`,
      );
    }
    if (cap.perUnit !== undefined && largestUnit !== undefined && largestUnit.planned > cap.perUnit) {
      const { unit, planned: count } = largestUnit;
      exceed(
        'perUnit',
        count,
        cap.perUnit,
        `${say(count)} ${cap.kind} planned for ${unit}, at most ${say(cap.perUnit)} for one unit`,
      );
    }
    const limit = rowsInRegion === undefined ? undefined : shareLimit(cap, rowsInRegion);
    if (limit !== undefined && planned > limit) {
      const { shareOfRegionPermille = 0, shareFloor = SHARE_FLOOR } = cap;
      exceed(
        'shareOfRegion',
        planned,
        limit,
        `${say(planned)} ${cap.kind} planned of ${say(rowsInRegion ?? 0)} rows in the region, at most ${shareOfRegionPermille / 10} %${limit > shareFloor ? '' : ` or ${say(shareFloor)}`}`,
      );
    }
    return over;
  });
}

/** Judges a plan by each cap of a policy. Pure. A cap's rule is called by its kind: `cap:claim`. */
export function judgeCaps(caps: readonly Cap[], figures: readonly PlanFigures[]): Judged[] {
  return caps.map((cap): Judged => {
    const rule = `cap:${cap.kind}`;
    const [first, ...others] = exceededCaps([cap], figures);
    const planned = figures.find(({ kind }) => kind === cap.kind)?.planned ?? 0;
    if (!first) {
      return {
        verdict: 'pass',
        rule,
        reason: `${rule}: ${say(planned)} planned`,
        figures: { observed: planned, ...(cap.perRun !== undefined && { limit: cap.perRun, cap: 'perRun' }) },
      };
    }
    return {
      verdict: 'fail',
      rule,
      reason: `${rule}: ${[first, ...others].map(({ reason }) => reason).join('; ')}`,
      figures: { observed: first.planned, limit: first.limit, cap: first.cap },
    };
  });
}
