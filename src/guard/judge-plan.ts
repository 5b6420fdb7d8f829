import type pg from 'pg';
import type { Buckets } from '../kernel/bucketing.js';
import { rulesOf, type GuardPolicy, type Cap } from '../flags/guard-policy.js';
import type { Shape } from '../journal/shape.js';
import type { Cascading } from '../journal/cascades.js';
import type { PlanCounts } from '../journal/plan-tally.js';
import { countedRuns, type AcceptedHistory, type Counted } from './accepted-runs.js';
import { judgeCaps, type PlanFigures } from './caps.js';
import { judgeCount } from './count.js';
import type { CountedRun } from './count-history.js';
import { judgeInvariant } from './invariant.js';
import type { NewlyAdmitted } from './newly-admitted.js';
import type { Judged } from '../containment/verdict.js';

/** A plan that stands in the journal, not committed yet. */
export interface WrittenPlan {
  readonly run: {
    readonly id: string;
    readonly job: string;
    readonly region: string;
    readonly version: string;
    /** When it was due. */
    readonly slot: Date;
    readonly createdAt: Date;
  };
  readonly counts: PlanCounts;
  /** What of it is for newly admitted units. */
  readonly apart: PlanCounts;
  /** How many units the run was admitted for, and by which buckets where these tell. */
  readonly units: number;
  readonly covered: Buckets | undefined;
  readonly newcomers: NewlyAdmitted;
  /** The resource of each kind of change. */
  readonly kinds: ReadonlyMap<string, Shape>;
  /** The schemas in which an invariant finds tables by their names alone. */
  readonly schemas: readonly string[];
  /** What goes with the rows that are deleted. */
  readonly cascading: readonly Cascading[];
}

/**
 * Judges a plan by a policy's caps, invariants and counts, in the transaction that wrote it; `history` is what
 * counts compare with. Answers what each of them says, whatever the others said: whoever corrects it must see all
 * of it.
 */
export async function judgePlan(
  client: pg.PoolClient,
  plan: WrittenPlan,
  history: AcceptedHistory,
  { caps, rules, timeZone = 'UTC' }: GuardPolicy,
): Promise<Judged[]> {
  const { run, kinds, cascading } = plan;
  const { counts } = plan.counts;
  const judged = judgeCaps(caps, await figuresFor(client, run, counts, caps, kinds, cascading));
  const planned = Object.values(counts).reduce((sum, count) => sum + count, 0);
  for (const rule of rulesOf(rules, 'invariant')) {
    judged.push(await judgeInvariant(client, run, planned, rule, plan.schemas));
  }
  for (const { name, change, of, alpha, floor } of rulesOf(rules, 'count')) {
    const now = countNow(plan, { change, of });
    const past = countedRuns(history, { change, of, rule: name });
    judged.push(judgeCount(past, now, { rule: name, of, alpha, floor, timeZone }));
  }
  return judged;
}

function countNow(plan: WrittenPlan, { change, of }: Counted): CountedRun {
  const countIn = ({ counts, unitCounts }: PlanCounts): number =>
    (of === 'units' ? unitCounts : counts)[change] ?? 0;
  const { run, units, covered, newcomers } = plan;
  const apart = { units: newcomers.units.size, count: countIn(plan.apart) };
  return {
    at: run.createdAt,
    due: run.slot,
    count: countIn(plan.counts) - apart.count,
    units: units - apart.units,
    covered,
    newcomers: newcomers.buckets,
    apart,
  };
}

/**
 * Gathers what the caps of a policy need to know of a plan that stands in the journal, in the transaction that
 * wrote it; no more is counted than that. `kinds` names each kind's resource.
 */
async function figuresFor(
  client: pg.PoolClient,
  run: { readonly id: string; readonly region: string },
  counts: Readonly<Record<string, number>>,
  caps: readonly Cap[],
  kinds: ReadonlyMap<string, Shape>,
  cascading: readonly Cascading[],
): Promise<PlanFigures[]> {
  const figures: PlanFigures[] = [];
  for (const cap of caps) {
    const planned = counts[cap.kind] ?? 0;
    if (planned === 0) continue;
    const shape = kinds.get(cap.kind);
    const besides = cascading.filter(({ kind }) => kind === cap.kind);
    figures.push({
      kind: cap.kind,
      planned,
      cascading: besides.reduce((sum, { n }) => sum + n, 0),
      ...(cap.perUnit !== undefined && { largestUnit: await largestUnit(client, run.id, cap.kind, besides) }),
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
  cascading: readonly Cascading[],
): Promise<{ unit: string; planned: number }> {
  const { rows } = await client.query<{ unit: string; planned: number }>(
    `select unit, sum(n)::bigint as planned
     from (select unit, count(*) as n from portcullis_region.change where run = $1 and kind = $2 group by unit
           union all select unit, n from unnest($3::text[], $4::bigint[]) as c (unit, n)) all_of_it
     group by unit order by sum(n) desc, unit limit 1`,
    [run, kind, cascading.map(({ unit }) => unit), cascading.map(({ n }) => n)],
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
