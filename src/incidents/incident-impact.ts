import { compareText } from '../base/compare-text.js';
import { messageOf } from '../base/errors.js';
import { impactOf, type Impact } from '../journal/impact.js';
import type { ProductImpact } from '../journal/product-impact.js';
import type { Incident } from './incident.js';
import { writers, type IncidentRun, type PoolOf, type SilentRegion } from './incident-runs.js';

/** What an incident changed in one region. */
export interface RegionImpact extends Impact {
  readonly region: string;
  /** The runs that wrote there. */
  readonly runs: number;
  /** Rows put back so far, and rows that restores left alone because others had touched them. */
  readonly restored: number;
  readonly restoreConflicts: number;
}

/** What an incident changed, in numbers. An organisation belongs to one region, so the regions add up. */
export interface IncidentImpact extends Omit<RegionImpact, 'region'> {
  /** Only those where something was changed. */
  readonly regions: readonly RegionImpact[];
}

/** What some runs of a region have changed together. */
export type ImpactIn = (region: string, wrote: readonly IncidentRun[]) => Promise<Impact>;

/** Asks the region's database each time. */
export function askImpact(poolOf: PoolOf): ImpactIn {
  return (region, wrote) => impactOf(poolOf(region), ...wrote.map(({ id }) => id));
}

/**
 * As {@link askImpact}, for whoever looks again and again: what runs that are over have changed is asked for
 * once, since it changes no more, and it may be a million rows. Keeps the latest `most` answers.
 */
export function rememberImpact(ask: ImpactIn, most = 200): ImpactIn {
  const known = new Map<string, Impact>();
  return async (region, wrote) => {
    if (wrote.some(({ finishedAt }) => finishedAt === null)) return ask(region, wrote);
    const key = wrote.map(({ id }) => id).join();
    const impact = known.get(key) ?? (await ask(region, wrote));
    known.delete(key);
    known.set(key, impact);
    for (const oldest of known.keys()) {
      if (known.size <= most) break;
      known.delete(oldest);
    }
    return impact;
  };
}

/** What an incident's runs have changed, and the regions that could not be asked, which are not in it. */
export interface ImpactFound {
  readonly impact: IncidentImpact;
  readonly silent: readonly SilentRegion[];
}

/** Sums up what an incident's runs have changed. A region that cannot be asked keeps nothing else back. */
export async function impactOfIncident(
  impactIn: ImpactIn,
  incident: Incident,
  runs: readonly IncidentRun[],
): Promise<ImpactFound> {
  const regions: RegionImpact[] = [];
  const silent: SilentRegion[] = [];
  for (const { region } of incident.regions) {
    const wrote = writers(runs).filter((run) => run.region === region);
    if (wrote.length === 0) continue;
    try {
      regions.push(regionImpact(region, await impactIn(region, wrote), wrote));
    } catch (error) {
      silent.push({ region, reason: messageOf(error) });
    }
  }
  return { impact: sumUp(regions), silent };
}

function sumUp(regions: readonly RegionImpact[]): IncidentImpact {
  const times = (pick: (each: Impact) => string | null): string[] =>
    regions.flatMap((each) => pick(each) ?? []).sort();
  return {
    regions,
    byKind: sumByKind(regions),
    byProduct: sumByProduct(regions),
    firstAppliedAt: times(({ firstAppliedAt }) => firstAppliedAt).at(0) ?? null,
    lastAppliedAt: times(({ lastAppliedAt }) => lastAppliedAt).at(-1) ?? null,
    ...sum(regions),
  };
}

function regionImpact(region: string, impact: Impact, wrote: readonly IncidentRun[]): RegionImpact {
  const restores = wrote.flatMap(({ restore }) => restore ?? []);
  return {
    ...impact,
    region,
    runs: wrote.length,
    restored: restores.reduce((all, { restored }) => all + restored, 0),
    restoreConflicts: restores.reduce((all, { conflicts }) => all + conflicts, 0),
  };
}

const SUMMED = ['runs', 'units', 'rows', 'conflicts', 'restored', 'restoreConflicts'] as const;

function sum(regions: readonly RegionImpact[]): Pick<RegionImpact, (typeof SUMMED)[number]> {
  const all = { runs: 0, units: 0, rows: 0, conflicts: 0, restored: 0, restoreConflicts: 0 };
  for (const region of regions) for (const figure of SUMMED) all[figure] += region[figure];
  return all;
}

/** Of the regions that know; null where something was changed and none does. */
function sumByProduct(regions: readonly RegionImpact[]): IncidentImpact['byProduct'] {
  if (regions.length > 0 && regions.every(({ byProduct }) => byProduct === null)) return null;
  const sums = new Map<string, ProductImpact>();
  for (const { product, rows, units } of regions.flatMap(({ byProduct }) => byProduct ?? [])) {
    const sum = sums.get(product) ?? { product, rows: 0, units: 0 };
    sums.set(product, { product, rows: sum.rows + rows, units: sum.units + units });
  }
  return [...sums.values()].sort((a, b) => b.rows - a.rows || compareText(a.product, b.product));
}

function sumByKind(regions: readonly RegionImpact[]): IncidentImpact['byKind'] {
  const rowsOf = new Map<string, IncidentImpact['byKind'][number]>();
  for (const { resource, kind, rows } of regions.flatMap(({ byKind }) => byKind)) {
    const key = JSON.stringify([resource, kind]);
    rowsOf.set(key, { resource, kind, rows: rows + (rowsOf.get(key)?.rows ?? 0) });
  }
  return [...rowsOf.values()].sort((a, b) => b.rows - a.rows);
}
