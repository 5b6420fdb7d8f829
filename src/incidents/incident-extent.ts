import { extentOf, reachedBy, type Extent } from '../journal/extent.js';
import type { Incident } from './incident.js';
import {
  inEachRegion,
  restoredOf,
  totalsOf,
  type IncidentRun,
  type PoolOf,
  type Restored,
  type SilentRegion,
} from './incident-runs.js';

/** How far an incident reaches, and how much of it is put back: what is needed to tend it. */
export type IncidentExtent = Extent & Restored;

/** How much some runs of a region have changed together. */
export type ExtentIn = (region: string, wrote: readonly IncidentRun[]) => Promise<Extent>;

/** Asks the region's database each time. */
export function askExtent(poolOf: PoolOf): ExtentIn {
  return (region, wrote) => extentOf(poolOf(region), idsOf(wrote));
}

/** How far some runs of a region have come: a number that rises with each batch. */
export type ReachedIn = (region: string, wrote: readonly IncidentRun[]) => Promise<number>;

/** Asks the region's database, which has it at hand. */
export function askReached(poolOf: PoolOf): ReachedIn {
  return (region, wrote) => reachedBy(poolOf(region), idsOf(wrote));
}

/**
 * As `ask`, for whoever looks again and again: it may be a million rows, which are counted only where a batch has
 * been added since. Of runs that are over nothing more is asked. Keeps the latest `most` answers.
 */
export function rememberExtent(ask: ExtentIn, reachedIn: ReachedIn, most = 200): ExtentIn {
  const known = new Map<string, { readonly reached: number; readonly extent: Extent }>();
  return async (region, wrote) => {
    const key = idsOf(wrote).join();
    const over = wrote.every(({ finishedAt }) => finishedAt !== null);
    // Asked first: what commits between the two questions is counted, and is counted again the next time.
    const reached = over ? Infinity : await reachedIn(region, wrote);
    const last = known.get(key);
    const extent = last?.reached === reached ? last.extent : await ask(region, wrote);
    known.delete(key);
    known.set(key, { reached, extent });
    for (const oldest of known.keys()) {
      if (known.size <= most) break;
      known.delete(oldest);
    }
    return extent;
  };
}

/** Sums up how far an incident's runs reach. A region that does not answer keeps nothing else back. */
export async function extentOfIncident(
  extentIn: ExtentIn,
  incident: Incident,
  runs: readonly IncidentRun[],
): Promise<{ readonly extent: IncidentExtent; readonly silent: readonly SilentRegion[] }> {
  const { found, silent } = await inEachRegion(incident, runs, async (region, wrote) => ({
    ...(await extentIn(region, wrote)),
    ...restoredOf(wrote),
  }));
  return { extent: totalsOf(found, 'units', 'rows', 'cascaded', 'restored', 'restoreConflicts'), silent };
}

function idsOf(runs: readonly IncidentRun[]): string[] {
  return runs.map(({ id }) => id);
}
