import type pg from 'pg';
import { createTripwire } from '../containment/tripwire.js';
import { EmbeddedSource } from '../flags/embedded-source.js';
import { PortcullisProvider } from '../flags/provider.js';
import { loginUrl } from '../postgres/logins.js';
import { openPool } from '../postgres/pool.js';
import type { Log } from '../telemetry/log.js';
import { createMetrics } from '../telemetry/metrics.js';
import { openPlannerDatabase, type PlannerPool } from './planner-database.js';
import type { Platform } from './platform.js';
import { createReservations } from './reservations.js';

export interface DatabasePlatformOptions {
  /** The worker's name. */
  readonly worker: string;
  readonly clients: Platform['clients'];
  readonly log: Log;
  readonly planClock?: { now(): Date };
  /** The most connections of the worker, and of the planner. */
  readonly most: { readonly worker: number; readonly planner: number };
}

export interface DatabasePlatform extends Platform {
  readonly planner: PlannerPool;
  close(): Promise<void>;
}

/**
 * Opens what it takes to run jobs on a migrated database that holds both planes and nobody else works on: the flags
 * are heard once when this resolves. `owner` stays its caller's to close.
 */
export async function openDatabasePlatform(
  owner: pg.Pool,
  url: string,
  { worker, clients, log, planClock, most }: DatabasePlatformOptions,
): Promise<DatabasePlatform> {
  const workerUrl = await loginUrl(owner, url, 'worker');
  const plannerUrl = await loginUrl(owner, url, 'planner');
  const flagPool = openPool(workerUrl, { name: 'flags', max: 2 });
  const region = openPool(workerUrl, { name: 'worker', max: most.worker });
  const planner = openPlannerDatabase(plannerUrl, most.planner);
  const flags = new PortcullisProvider(new EmbeddedSource(flagPool));
  const end = async (): Promise<void> => {
    await flags.onClose();
    await Promise.all([flagPool.end(), region.end(), planner.close()]);
  };
  let ended: Promise<void> | undefined;
  const close = (): Promise<void> => (ended ??= end());
  try {
    await flags.initialize();
  } catch (error) {
    await close();
    throw error;
  }
  const metrics = createMetrics();
  return {
    ...{ worker, region, planner, flags, clients, log, metrics, close },
    reservations: createReservations(owner, 'control'),
    trips: createTripwire({ control: owner, ownerOf: () => owner }, metrics, log),
    ...(planClock && { planClock }),
  };
}
