import type pg from 'pg';
import { rulesOf, type GuardPolicy } from '../flags/guard-policy.js';
import type { Shape } from '../journal/shape.js';
import { acceptedRuns } from './accepted-runs.js';
import { judgeCaps } from './caps.js';
import { judgeCount } from './count.js';
import { judgeInvariant } from './invariant.js';
import { figuresFor } from './plan-figures.js';
import type { Judged } from './verdict.js';

/** As many runs as a slot every quarter of an hour makes in the four weeks that teach. */
const MOST_RUNS = 3_000;

/** A plan that stands in the journal, not committed yet. */
export interface WrittenPlan {
  readonly run: {
    readonly id: string;
    readonly job: string;
    readonly region: string;
    readonly createdAt: Date;
  };
  /** Number of changes by kind. */
  readonly counts: Readonly<Record<string, number>>;
  /** Number of units that have changes, by kind. */
  readonly unitCounts: Readonly<Record<string, number>>;
  /** How many units the run was admitted for. */
  readonly units: number;
  /** The resource of each kind of change. */
  readonly kinds: ReadonlyMap<string, Shape>;
}

/**
 * Judges a plan by a policy's caps, invariants and counts, in the transaction that wrote it. Answers what each
 * of them says, whatever the others said: who is to mend it must see all of it.
 */
export async function judgePlan(
  client: pg.PoolClient,
  { run, counts, unitCounts, units, kinds }: WrittenPlan,
  { caps, rules }: GuardPolicy,
): Promise<Judged[]> {
  const judged = judgeCaps(caps, await figuresFor(client, run, counts, caps, kinds));
  const planned = Object.values(counts).reduce((sum, count) => sum + count, 0);
  for (const rule of rulesOf(rules, 'invariant')) {
    judged.push(await judgeInvariant(client, run.id, planned, rule));
  }
  for (const { name, change, of, alpha, floor } of rulesOf(rules, 'count')) {
    const { job, region, createdAt: at } = run;
    const history = await acceptedRuns(client, { job, region, change, of }, MOST_RUNS);
    const count = (of === 'units' ? unitCounts : counts)[change] ?? 0;
    judged.push(judgeCount(history, { count, units, at }, { rule: name, of, alpha, floor }));
  }
  return judged;
}
