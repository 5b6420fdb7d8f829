import type { Tripped } from '../containment/trip.js';
import { reasonOf, tripOfRun } from '../containment/trip-row.js';
import type { Run } from '../runs/election.js';
import type { Outcome } from '../runs/finish.js';
import type { Platform } from './platform.js';

/** The end of a run that a rule has stopped. */
export interface TrippedEnd extends Outcome {
  readonly tripped: Tripped;
}

/**
 * Carries out the trip that a run has caused, and answers how the run ends by it: refused where nothing was
 * written, killed where it had begun. Undefined where it has caused none. Throws where its region's database
 * cannot be reached: the run is then given up, and whoever takes it over carries the trip out.
 */
export async function trippedEnd(platform: Platform, run: Run): Promise<TrippedEnd | undefined> {
  const trip = await tripOfRun(platform.region, run.id);
  if (!trip) return undefined;
  const tripped = await platform.trips.carryOut(trip);
  return {
    status: trip.stage === 'plan' ? 'refused' : 'killed',
    code: 'guard-tripped',
    reason: reasonOf(trip),
    tripped,
  };
}
