import type { Config } from '../config.js';
import { domainClaim } from '../jobs/domain-claim/job.js';
import type { Lookups } from '../jobs/domain-claim/lookups.js';
import { openDatabasePlatform, type DatabasePlatform } from '../worker/database-platform.js';
import { loadJob, schemaOf } from '../worker/registry.js';
import { openReplayDatabases } from '../demo/incident/databases.js';
import { lostCondition } from '../demo/incident/lost-condition/job.js';
import { replayIncident } from '../demo/incident/replay.js';
import type { ReplayResult } from '../demo/incident/result.js';
import type { OpenWorld, Say } from '../demo/incident/world-port.js';
import type { WorldSize } from '../demo/incident/world.js';
import { worldZone } from '../demo/incident/zone.js';
import { sampleHttps } from '../demo/sample-https.js';
import { startEmbedded } from '../postgres/embedded-server.js';
import { provisionLogins } from '../postgres/logins.js';
import { migrate } from '../postgres/migrate.js';
import { openPool } from '../postgres/pool.js';
import { createLogger } from '../telemetry/log.js';

const WORKER_CONNECTIONS = 32;
const PLANNER_CONNECTIONS = 12;

/**
 * Replays the incident on the embedded server, in databases of its own that are dropped however it ends. A
 * database of the company's own, where the configuration names one, is not touched.
 */
export async function replay(
  config: Config,
  size: WorldSize,
  options: { readonly say: Say; readonly signal: AbortSignal },
): Promise<ReplayResult> {
  const server = await startEmbedded({ folder: config.home });
  try {
    const databases = await openReplayDatabases(server.url);
    try {
      const withWorld = <T>(url: string, work: (world: OpenWorld) => Promise<T>): Promise<T> =>
        openWorld(config, url, size, options.signal, work);
      return await replayIncident({ databases, withWorld, signal: options.signal }, size, options.say);
    } finally {
      await databases.close();
    }
  } finally {
    await server.stop();
  }
}

async function openWorld<T>(
  config: Config,
  url: string,
  size: WorldSize,
  signal: AbortSignal,
  work: (world: OpenWorld) => Promise<T>,
): Promise<T> {
  const owner = openPool(url, { name: 'replay', max: 10 });
  let platform: DatabasePlatform | undefined;
  try {
    const tables = schemaOf(domainClaim);
    await migrate(owner, ['control', 'region', ...(tables ? [tables] : [])]);
    await provisionLogins(owner);
    const lookups: Lookups = { dns: worldZone(size.seed), https: sampleHttps };
    platform = await openDatabasePlatform(owner, url, {
      worker: 'replay',
      clients: () => lookups,
      log: createLogger({ level: config.logLevel === 'info' ? 'silent' : config.logLevel, pretty: true }),
      most: { worker: WORKER_CONNECTIONS, planner: PLANNER_CONNECTIONS },
    });
    const stable = await loadJob(owner, {
      definition: domainClaim,
      folder: new URL('../jobs/domain-claim/', import.meta.url),
    });
    const faulty = await loadJob(owner, {
      definition: lostCondition,
      folder: new URL('../demo/incident/lost-condition/', import.meta.url),
    });
    return await work({ size, owner, platform, stable, faulty, signal });
  } finally {
    await platform?.close();
    await owner.end();
  }
}
