import { compareText } from '../kernel/text.js';
import { impactOf, type Impact } from '../journal/impact.js';
import type { ProductImpact } from '../journal/product-impact.js';
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

/** What an incident changed in one region. */
export interface RegionImpact extends Impact, Restored {
  readonly region: string;
  /** The runs that wrote there. */
  readonly runs: number;
}

/** What an incident changed, in numbers. A unit belongs to one region, so the regions add up. */
export interface IncidentImpact extends Omit<RegionImpact, 'region'> {
  /** Only those where something was changed. */
  readonly regions: readonly RegionImpact[];
}

/** What an incident's runs have changed, and the regions that could not be asked, which are not in it. */
export interface ImpactFound {
  readonly impact: IncidentImpact;
  readonly silent: readonly SilentRegion[];
}

/** Sums up what an incident's runs have changed. A region that does not answer keeps nothing else back. */
export async function impactOfIncident(
  poolOf: PoolOf,
  incident: Incident,
  runs: readonly IncidentRun[],
): Promise<ImpactFound> {
  const { found, silent } = await inEachRegion(incident, runs, async (region, wrote) => ({
    ...(await impactOf(poolOf(region), ...wrote.map(({ id }) => id))),
    ...restoredOf(wrote),
    region,
    runs: wrote.length,
  }));
  return { impact: sumUp(found), silent };
}

function sumUp(regions: readonly RegionImpact[]): IncidentImpact {
  const times = (pick: (each: Impact) => string | null): string[] =>
    regions.flatMap((each) => pick(each) ?? []).sort();
  return {
    regions,
    byKind: sumByKind(regions),
    byCascade: sumByCascade(regions),
    byProduct: sumByProduct(regions),
    firstAppliedAt: times(({ firstAppliedAt }) => firstAppliedAt).at(0) ?? null,
    lastAppliedAt: times(({ lastAppliedAt }) => lastAppliedAt).at(-1) ?? null,
    ...totalsOf(regions, 'runs', 'units', 'rows', 'cascaded', 'conflicts', 'restored', 'restoreConflicts'),
  };
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

function sumByCascade(regions: readonly RegionImpact[]): IncidentImpact['byCascade'] {
  const sums = new Map<string, number>();
  for (const { table, rows } of regions.flatMap(({ byCascade }) => byCascade))
    sums.set(table, (sums.get(table) ?? 0) + rows);
  return [...sums]
    .map(([table, rows]) => ({ table, rows }))
    .sort((a, b) => b.rows - a.rows || compareText(a.table, b.table));
}

function sumByKind(regions: readonly RegionImpact[]): IncidentImpact['byKind'] {
  const rowsOf = new Map<string, IncidentImpact['byKind'][number]>();
  for (const { resource, kind, rows } of regions.flatMap(({ byKind }) => byKind)) {
    const key = JSON.stringify([resource, kind]);
    rowsOf.set(key, { resource, kind, rows: rows + (rowsOf.get(key)?.rows ?? 0) });
  }
  return [...rowsOf.values()].sort((a, b) => b.rows - a.rows);
}
