import { nextWithin } from '../kernel/weekly-window.js';
import type { RolloutPolicy } from '../flags/rollout-policy.js';

/** When a promotion may happen. `held` says why not at once. */
export interface PromotionTime {
  readonly at: Date;
  readonly held?: string;
}

/**
 * The first moment, from `from` on, at which the policy's windows and freezes let something be promoted. Pure.
 * They hold promotions only: nobody asks this before a kill or an abort.
 */
export function promotionTime(
  { windows, freezes }: Pick<RolloutPolicy, 'windows' | 'freezes'>,
  from: Date,
): PromotionTime {
  let at = from;
  let held: string | undefined;
  for (;;) {
    const frozen = freezes.find((freeze) => freeze.from <= at && at < freeze.until);
    if (frozen) {
      held ??= `frozen until ${frozen.until.toISOString()}: ${frozen.reason}`;
      at = frozen.until;
      continue;
    }
    const opening = soonest(windows.map((window) => nextWithin(window, at)));
    if (opening === undefined || opening.getTime() === at.getTime()) break;
    held ??= `promotions only ${windows.map(({ text }) => text).join(' or ')}`;
    at = opening;
  }
  return { at, ...(held !== undefined && { held }) };
}

function soonest(moments: readonly Date[]): Date | undefined {
  return moments.length === 0 ? undefined : new Date(Math.min(...moments.map((each) => each.getTime())));
}
