import { z } from 'zod';
import type { Incident } from './incident.js';
import { durationMs } from '../kernel/schema.js';

/** How long it took, in milliseconds; null for what has not come, or never had a beginning. */
const durationOrNot = durationMs.nullable();
export const Measures = z.strictObject({
  detectMs: durationOrNot.describe(
    'milliseconds from the first bad change to whoever noticed first; null: not yet',
  ),
  stopMs: durationOrNot.describe(
    'milliseconds from the first bad change until nothing of it could commit any more',
  ),
  restoreMs: durationOrNot.describe('milliseconds from then until everything was put back'),
});
export type Measures = z.infer<typeof Measures>;

/**
 * The three figures of a post-mortem. Noticing is the opening, or the containment where that came first, as it
 * does with a kill: a gate is closed before anything is written down. What was stopped before it changed a row
 * has no beginning to count from. Clocks of several databases differ by what they differ: none is below 0.
 */
export function measuresOf(incident: Incident, firstAppliedAt: string | null): Measures {
  const stopped = stoppedAt(incident);
  const noticed = stopped === null ? incident.openedAt : earlier(incident.openedAt, stopped);
  return {
    detectMs: between(firstAppliedAt, noticed),
    stopMs: between(firstAppliedAt, stopped),
    restoreMs: between(stopped, incident.restoredAt),
  };
}

/** When the last of its regions was contained, by that region's clock; null while one is not. */
export function stoppedAt({ regions, containedAt }: Incident): string | null {
  if (containedAt === null) return null;
  const times = regions.flatMap((region) => region.containedAt ?? []);
  const last = times.sort((a, b) => Date.parse(a) - Date.parse(b)).at(-1);
  // PostgreSQL writes times in JSON with an offset.
  return last === undefined ? containedAt : new Date(last).toISOString();
}

function earlier(a: string, b: string): string {
  return Date.parse(a) < Date.parse(b) ? a : b;
}

function between(from: string | null, to: string | null): number | null {
  return from === null || to === null ? null : Math.max(0, Date.parse(to) - Date.parse(from));
}
