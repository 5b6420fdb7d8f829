import type { TriedPlan } from './app-port.js';
import { changedColumns } from './wording.js';

/** How a plan differs from the one before it; each change in words. */
export interface PlanDifference {
  readonly job: string;
  readonly region: string;
  readonly planned: Readonly<Record<string, number>>;
  /** There was none before: all of its changes are added. */
  readonly first: boolean;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Of rows that are in both plans, those whose change is another. */
  readonly changed: readonly string[];
  readonly same: number;
}

type PlannedChange = TriedPlan['changes'][number];

/** How plans differ from those before: by job, region and row. Pure. */
export function differenceOfPlans(
  before: readonly TriedPlan[] | undefined,
  now: readonly TriedPlan[],
): PlanDifference[] {
  return now.map(({ job, region, planned, changes }) => {
    const former = before?.find((plan) => plan.job === job && plan.region === region);
    const were = byRow(former?.changes ?? []);
    const are = byRow(changes);
    const both = [...are].filter(([row]) => were.has(row));
    const changed = both.filter(([row, change]) => text(change) !== text(were.get(row)));
    return {
      ...{ job, region, planned, first: former === undefined },
      added: [...are].filter(([row]) => !were.has(row)).map(([, change]) => text(change)),
      removed: [...were].filter(([row]) => !are.has(row)).map(([, change]) => text(change)),
      changed: changed.map(([, change]) => text(change)),
      same: both.length - changed.length,
    };
  });
}

function byRow(changes: readonly PlannedChange[]): ReadonlyMap<string, PlannedChange> {
  return new Map(changes.map((change) => [`${change.resource}:${change.key}`, change]));
}

/** `dormant customer:17  standing active → dormant`. */
function text(change: PlannedChange | undefined): string {
  if (change === undefined) return '';
  const { kind, resource, key, before, after } = change;
  const columns = after === null ? ['deleted'] : changedColumns(before, after);
  return `${kind} ${resource}:${key}  ${columns.join(', ')}`;
}
