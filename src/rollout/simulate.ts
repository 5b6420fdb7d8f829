import { rulesOf, shareLimit, type Cap, type RuleKind } from '../flags/guard-policy.js';
import type { Policy } from '../flags/policy.js';
import type { UnitLabel } from '../kernel/words.js';
import type { RolloutPolicy } from '../flags/rollout-policy.js';
import { outcomePower, type OutcomePower } from '../guard/outcome-power.js';
import { promotionTime } from './promotion-time.js';

/** What a region is like, as far as the paper needs to know. */
export interface RegionFigures {
  readonly units: number;
  /** Rows that each kind of change may touch there. */
  readonly rowsByKind: Readonly<Record<string, number>>;
  /** Rows of each resource: `account`, `domain`. */
  readonly rowsByResource: Readonly<Record<string, number>>;
  /** Changes of one run at the full share, as usual; undefined where no run has shown it. */
  readonly changesPerRun: number | undefined;
  /** The chance of a unit to have its first bad outcome of a kind on a day; without an entry: not known. */
  readonly badPerUnitDay?: Readonly<Record<string, number>>;
}

/** A step on paper. */
export interface SimulatedStep {
  readonly wave: string;
  readonly region: string;
  readonly permille: number;
  /** Null: never, since a step before it never ends. */
  readonly starts: Date | null;
  /** When its evidence is full; null: never, since too little is changed. */
  readonly ends: Date | null;
  readonly runs: number | null;
  readonly units: number;
  /** About how many rows of each resource are those units', such as accounts. */
  readonly rows: Readonly<Record<string, number>>;
  /** The most changes of each kind that one run could plan and pass the caps; null: no cap limits it. */
  readonly mostPerRun: Readonly<Record<string, number | null>>;
  /** What each outcome rule can find of a fault that makes outcomes twice as frequent. */
  readonly outcomes: readonly OutcomePower[];
}

/** How much a version at fault could do before a rule stops it. */
export interface RuleReach {
  readonly rule: string;
  readonly kind: 'cap' | RuleKind;
  /** The most changes; null: as many as the caps let pass until it judges. */
  readonly most: number | null;
  readonly why: string;
}

export interface Simulation {
  /** What the job calls its units. */
  readonly unitLabel: UnitLabel;
  readonly steps: readonly SimulatedStep[];
  readonly rules: readonly RuleReach[];
  /** When the version has everything and has baked; null: never, on these figures. */
  readonly ends: Date | null;
  /** Waves that wait for a second person, which takes the time that people take. */
  readonly approvals: readonly string[];
}

/**
 * A rollout on paper: when each step would start and end if every rule passed, whom it exposes, and how much a
 * version at fault could change. Runs come every `periodMs`; a run changes in proportion to its share. Pure.
 */
export function simulateRollout(
  policy: Policy & { readonly rollout: RolloutPolicy },
  figuresOf: (region: string) => RegionFigures,
  periodMs: number,
  start: Date,
): Simulation {
  const { rollout, guard } = policy;
  const steps: SimulatedStep[] = [];
  let begins: Date | null = start;
  for (const wave of rollout.waves) {
    const ends: (Date | null)[] = [];
    for (const region of wave.regions) {
      let at: Date | null = begins;
      const figures = figuresOf(region);
      for (const permille of wave.stepsPermille) {
        const starts: Date | null = at && promotionTime(rollout, at).at;
        const changes = ((figures.changesPerRun ?? 0) * permille) / 1000;
        const runs = runsNeeded(wave.bake, changes);
        at =
          starts === null || runs === null
            ? null
            : after(starts, Math.max(wave.bake.timeMs, runs * periodMs));
        const units = Math.ceil((figures.units * permille) / 1000);
        steps.push({
          ...{ wave: wave.name, region, permille, starts, ends: at, runs, units },
          rows: Object.fromEntries(
            Object.entries(figures.rowsByResource).map(([resource, n]) => [
              resource,
              Math.ceil((n * permille) / 1000),
            ]),
          ),
          mostPerRun: Object.fromEntries(
            guard.caps.map((cap) => [cap.kind, mostOf(cap, units, figures.rowsByKind[cap.kind])]),
          ),
          outcomes: rulesOf(guard.rules, 'outcome').map((rule) =>
            outcomePower(
              { ...rule, regions: policy.regions.length },
              {
                candidates: units,
                others: figures.units - units,
                perUnitDay: figures.badPerUnitDay?.[rule.event],
              },
            ),
          ),
        });
      }
      ends.push(at);
    }
    begins = ends.some((each) => each === null)
      ? null
      : new Date(Math.max(...ends.map((each) => each?.getTime() ?? 0)));
  }
  return {
    unitLabel: policy.unit,
    steps,
    rules: reachOf(policy),
    ends: begins,
    approvals: rollout.waves.filter(({ approvals }) => approvals > 0).map(({ name }) => name),
  };
}

/** Null: never, or later than any date there is: a schedule that is due no more has an endless period. */
function after(from: Date, ms: number): Date | null {
  const date = new Date(from.getTime() + ms);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** Null: never. */
function runsNeeded(bake: { runs: number; changes: number }, changesPerRun: number): number | null {
  if (bake.changes === 0) return bake.runs;
  return changesPerRun > 0 ? Math.max(bake.runs, Math.ceil(bake.changes / changesPerRun)) : null;
}

function mostOf(cap: Cap, units: number, rows: number | undefined): number | null {
  const limits = [
    cap.perRun,
    cap.perUnit === undefined ? undefined : cap.perUnit * units,
    rows === undefined ? undefined : shareLimit(cap, rows),
  ].filter((each) => each !== undefined);
  return limits.length === 0 ? null : Math.floor(Math.min(...limits));
}

function reachOf({ guard, apply }: Policy): RuleReach[] {
  const first = apply.firstBatches[0] ?? apply.batch;
  const reach: Readonly<Record<RuleKind, readonly [most: number | null, why: string]>> = {
    invariant: [0, 'judges the plan, before the first write'],
    count: [0, 'judges the plan; what it lets pass is bounded by the caps'],
    rate: [first, 'judges after each batch: at the earliest after the first'],
    outcome: [null, 'judges what becomes of units afterwards'],
    promql: [null, 'judges figures of Prometheus afterwards'],
    alert: [null, 'stops when an alert comes'],
    absence: [null, 'holds when runs or figures fail to come'],
  };
  return [
    ...guard.caps.map(({ kind }): RuleReach => ({
      rule: `cap on ${kind}`,
      kind: 'cap',
      most: 0,
      why: 'a plan over it writes nothing; one under it passes, up to the figure of each step',
    })),
    ...guard.rules.map(({ name, kind }): RuleReach => {
      const [most, why] = reach[kind];
      return { rule: name, kind, most, why };
    }),
  ];
}
