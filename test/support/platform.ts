import { flagName, type FlagAnswer, type FlagDefinition } from '../../src/flags/definition.js';
import { bucketsOf } from '../../src/kernel/bucketing.js';
import { UNITS } from '../../src/kernel/words.js';
import type { GuardPolicy } from '../../src/flags/guard-policy.js';
import type { Policy } from '../../src/flags/policy.js';
import { createTripwire } from '../../src/containment/tripwire.js';
import type { JobDefinition } from '../../src/sdk/contract.js';
import { openPlannerDatabase, type PlannerPool } from '../../src/worker/planner-database.js';
import type { Flags, Platform } from '../../src/worker/platform.js';
import type { LoadedJob } from '../../src/worker/registry.js';
import { createReservations } from '../../src/worker/reservations.js';
import { readShapes, type Shape } from '../../src/journal/shape.js';
import { createLogger } from '../../src/telemetry/log.js';
import { createMetrics } from '../../src/telemetry/metrics.js';
import type { TestDatabase } from './database.js';
import { FAR_SLOT } from './far-slot.js';
import type { Variant } from '../../src/flags/variant.js';

/** Flags that a test sets by hand. Their provider has its own tests. */
export class HandSetFlags implements Flags {
  private readonly answers = new Map<string, FlagAnswer>();
  private revision = 0;

  open(job: string, region: string, ...variants: Variant[]): void {
    this.revision += 1;
    const definition: FlagDefinition = {
      name: flagName(job, region),
      job,
      region,
      enabled: true,
      variants,
      revision: this.revision,
    };
    this.answers.set(definition.name, { open: true, definition, ageMs: 0 });
  }

  close(job: string, region: string, code: Extract<FlagAnswer, { open: false }>['code'] = 'flag-off'): void {
    this.revision += 1;
    const silent = code === 'flag-stale' || code === 'flag-unreachable' || code === 'flag-unauthorised';
    const reason = `${code} by the test`;
    this.answers.set(
      flagName(job, region),
      silent ? { open: false, code, reason } : { open: false, code, reason, revision: this.revision },
    );
  }

  look(flag: string): FlagAnswer {
    return (
      this.answers.get(flag) ?? { open: false, code: 'flag-unknown', reason: `there is no flag ${flag}` }
    );
  }

  admit(definition: FlagDefinition, version: string, units: Iterable<string>): Set<string> {
    const admitted = new Set<string>();
    const bucketOf = bucketsOf(definition.name);
    for (const unit of units) {
      let bucket = bucketOf(unit);
      const variant = definition.variants.find((each) => (bucket -= each.permille) <= 0);
      if (variant?.version === version) admitted.add(unit);
    }
    return admitted;
  }
}

export interface TestPlatform extends Platform {
  readonly flags: HandSetFlags;
  readonly planner: PlannerPool;
}

export function testPlatform(database: TestDatabase, worker = 'test-worker'): TestPlatform {
  const metrics = createMetrics();
  const log = createLogger({ level: 'silent' });
  const regionDatabases = { control: database.owner, ownerOf: () => database.owner };
  return {
    worker,
    region: database.pool(database.workerUrl, worker),
    planner: openPlannerDatabase(database.plannerUrl, 4),
    flags: new HandSetFlags(),
    clients: () => ({}),
    log,
    metrics,
    reservations: createReservations(database.owner, 'control'),
    trips: createTripwire(regionDatabases, metrics, log),
  };
}

/** Nothing is judged. */
export const noRules: GuardPolicy = {
  onTrip: { restore: 'propose' },
  prometheus: [],
  caps: [],
  rules: [],
};

export function testPolicy(job: string, regions: readonly string[], changes: Partial<Policy> = {}): Policy {
  return {
    job,
    unit: UNITS,
    schedule: FAR_SLOT,
    missedSlots: 'skip',
    onRearm: 'skip',
    regions,
    flag: { maxAgeMs: 60_000 },
    permitMs: 30_000,
    planMaxAgeMs: 3_600_000,
    leaseMs: 20_000,
    apply: { lanes: 2, batch: 50, firstBatches: [5] },
    guard: noRules,
    ...changes,
  };
}

/** A job of the test's own, loaded as the registry loads an installed one, with a made-up digest. */
export async function loadTestJob(
  platform: Platform,
  definition: JobDefinition,
  digest = '00000000',
): Promise<LoadedJob> {
  const shapes = await readShapes(platform.region, definition.resources);
  const kinds = new Map<string, Shape>();
  for (const [kind, resource] of Object.entries(definition.kinds)) {
    const shape = shapes.get(resource);
    if (shape) kinds.set(kind, shape);
  }
  return { definition, version: `${definition.version}_${digest}`, shapes, kinds };
}
