import type pg from 'pg';
import type { Cap } from '../flags/guard-policy.js';
import type { Shape } from '../journal/shape.js';
import type { PlanFigures } from './caps.js';

/**
 * Gathers what the caps of a policy need to know of a plan that stands in the journal, in the transaction that
 * wrote it; no more is counted than that. `kinds` names each kind's resource.
 */
export async function figuresFor(
  client: pg.PoolClient,
  run: { readonly id: string; readonly region: string },
  counts: Readonly<Record<string, number>>,
  caps: readonly Cap[],
  kinds: ReadonlyMap<string, Shape>,
): Promise<PlanFigures[]> {
  const figures: PlanFigures[] = [];
  for (const cap of caps) {
    const planned = counts[cap.kind] ?? 0;
    if (planned === 0) continue;
    const shape = kinds.get(cap.kind);
    figures.push({
      kind: cap.kind,
      planned,
      ...(cap.perUnit !== undefined && { largestUnit: await largestUnit(client, run.id, cap.kind) }),
      ...(cap.shareOfRegionPermille !== undefined &&
        shape !== undefined && { rowsInRegion: await rowsInRegion(client, shape, run.region) }),
    });
  }
  return figures;
}

async function largestUnit(
  client: pg.PoolClient,
  run: string,
  kind: string,
): Promise<{ unit: string; planned: number }> {
  const { rows } = await client.query<{ unit: string; planned: number }>(
    `select unit, count(*) as planned from portcullis_region.change
     where run = $1 and kind = $2 group by unit order by count(*) desc, unit limit 1`,
    [run, kind],
  );
  return rows[0] ?? { unit: '', planned: 0 };
}

async function rowsInRegion(client: pg.PoolClient, shape: Shape, region: string): Promise<number> {
  if (shape.region === undefined) return 0;
  const { rows } = await client.query<{ n: number }>(
    `select count(*) as n from ${shape.table} where ${shape.region} = $1`,
    [region],
  );
  return rows[0]?.n ?? 0;
}
