import type pg from 'pg';
import type { FlagAnswer, FlagDefinition } from '../flags/definition.js';
import type { Tripwire } from '../containment/tripwire.js';
import type { Log } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { AdmittedUnits } from '../sdk/contract.js';
import type { Planner } from './planner-database.js';
import type { Phase } from './phase-limits.js';
import type { KnownJob } from './registry.js';
import type { Reservations } from './reservations.js';
import type { RunsUnderWay } from './runs-under-way.js';

/** How a worker asks the flags: see src/flags/provider.ts. */
export interface Flags {
  look(flag: string): FlagAnswer;
  admit(definition: FlagDefinition, version: string, units: Iterable<string>): AdmittedUnits;
}

/** What a worker works with wherever it works. */
export interface WorkerContext {
  /** The worker's name, unique among processes. */
  readonly worker: string;
  readonly flags: Flags;
  /** What a job's plan asks besides the database: the same object each time. */
  readonly clients: (job: KnownJob) => object | Promise<object>;
  readonly log: Log;
  readonly metrics: Metrics;
  /** What a rule that fails sets off. */
  readonly trips: Tripwire;
  /** How long a run may show no progress, in milliseconds; absent: PROGRESS_MS (src/worker/phase-limits.ts). */
  readonly progressMs?: number;
  /** How long phases of a run may take, in milliseconds, where that is not PHASE_LIMITS (src/worker/phase-limits.ts). */
  readonly limits?: Partial<Readonly<Record<Phase, number>>>;
  /** The runs of this process, for its readiness. */
  readonly underWay?: RunsUnderWay;
  /** The clock that plans are given, for a test; absent: the database's. */
  readonly planClock?: { now(): Date };
  /** How a version that is not admitted in a region stands, in words; absent: nobody can say. */
  readonly standingOf?: (job: string, version: string, region: string) => Promise<string>;
}

/** What a worker works with on one region database: wired by `app.ts`, and by tests. */
export interface Platform extends WorkerContext {
  /** The region database, over the worker login. */
  readonly region: pg.Pool;
  readonly planner: Planner;
  /** Values that are unique across regions; absent: a run that takes one is held. */
  readonly reservations?: Reservations;
  /** What a plan tells whoever watches over its run. */
  readonly planning?: {
    readonly progressed: () => void;
    /** The plan is made; it is judged from now on. */
    readonly judging: () => void;
  };
}
