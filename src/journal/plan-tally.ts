import { laneOf } from '../kernel/bucketing.js';
import { operationOf, type Change } from './change.js';

/** How much of each kind is planned. */
export interface PlanCounts {
  /** Number of changes by kind. */
  readonly counts: Readonly<Record<string, number>>;
  /** Number of units that have changes, by kind. */
  readonly unitCounts: Readonly<Record<string, number>>;
}

/** What was written, for the run's row and its lanes. */
export interface PlanWritten extends PlanCounts {
  /** What of it is for units that are counted apart. */
  readonly apart: PlanCounts;
  /** The operations that there are, as `account:update`, each with the resources that its changes require. */
  readonly operations: ReadonlyMap<string, ReadonlySet<string>>;
  /** The last sequence number of each lane that has changes. */
  readonly lanes: readonly { readonly lane: number; readonly lastSeq: number }[];
}

/** Gives each change of a plan its place, and keeps count. Of all that goes by it remembers the units' names only. */
export class PlanTally {
  private readonly all = new KindCounts();
  private readonly apart = new KindCounts();
  private readonly operations = new Map<string, Set<string>>();
  private readonly lastSeq: number[];

  /** `unitsApart` are those that are also counted by themselves. */
  constructor(
    laneCount: number,
    private readonly unitsApart: ReadonlySet<string> = new Set(),
  ) {
    this.lastSeq = new Array<number>(laneCount).fill(0);
  }

  /** All changes of a unit go to one lane, in the order they were proposed. */
  take(change: Change): { readonly lane: number; readonly seq: number } {
    const { kind, unit } = change;
    const lane = laneOf(unit, this.lastSeq.length);
    const seq = (this.lastSeq[lane] ?? 0) + 1;
    this.lastSeq[lane] = seq;
    this.all.add(kind, unit);
    if (this.unitsApart.has(unit)) this.apart.add(kind, unit);
    const required = setOf(this.operations, `${change.resource}:${operationOf(change)}`);
    for (const { resource } of change.requires ?? []) required.add(resource);
    return { lane, seq };
  }

  written(): PlanWritten {
    return {
      ...this.all.counted(),
      apart: this.apart.counted(),
      operations: this.operations,
      lanes: this.lastSeq.flatMap((seq, lane) => (seq === 0 ? [] : [{ lane, lastSeq: seq }])),
    };
  }
}

class KindCounts {
  private readonly counts: Record<string, number> = {};
  private readonly units = new Map<string, Set<string>>();

  add(kind: string, unit: string): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    setOf(this.units, kind).add(unit);
  }

  counted(): PlanCounts {
    const unitCounts = Object.fromEntries([...this.units].map(([kind, { size }]) => [kind, size]));
    return { counts: this.counts, unitCounts };
  }
}

function setOf(sets: Map<string, Set<string>>, name: string): Set<string> {
  let found = sets.get(name);
  if (!found) sets.set(name, (found = new Set()));
  return found;
}
