import type pg from 'pg';
import type { Installation } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { domainClaim } from '../jobs/domain-claim/job.js';
import { openPlannerDatabase } from '../jobs/planner-database.js';
import { loadJob, type InstalledJob } from '../jobs/registry.js';
import { onePlane } from '../planes/region-plane.js';
import { startEmbedded } from '../store/embedded-server.js';
import { loginUrl, provisionLogins } from '../store/logins.js';
import { migrate } from '../store/migrate.js';
import { checkReachable, openPool, withoutPassword } from '../store/pool.js';

/** The jobs that this program can run. */
const JOBS: readonly InstalledJob[] = [
  { definition: domainClaim, folder: new URL('../jobs/domain-claim/', import.meta.url) },
];

/** Enough for several runs' lanes, their plans and their leases at once. */
const WORKER_CONNECTIONS = 32;
const PLANNER_CONNECTIONS = 16;

/**
 * Opens the database (the embedded one unless the configuration names another), brings it to this program's
 * schema, and checks the jobs against it. What was opened is closed again if any of that fails.
 */
export async function openInstallation(config: Config): Promise<Installation> {
  const server = config.databaseUrl === undefined ? await startEmbedded({ folder: config.home }) : undefined;
  const owner = config.databaseUrl ?? server?.url ?? '';
  const opened: { end(): Promise<void> }[] = [];
  const open = (url: string, name: string, max: number): pg.Pool => {
    const pool = openPool(url, { name, max });
    opened.push(pool);
    return pool;
  };
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((pool) => pool.end()));
    await server?.stop();
  };
  try {
    const control = open(owner, 'control', 5);
    await checkReachable(control, owner);
    await migrate(control, ['control', 'region']);
    await provisionLogins(control);
    const worker = await loginUrl(control, owner, 'worker');
    const planner = openPlannerDatabase(await loginUrl(control, owner, 'planner'), PLANNER_CONNECTIONS);
    opened.push({ end: () => planner.close() });
    const planes = onePlane({
      name: 'control',
      owner: control,
      worker: open(worker, 'worker', WORKER_CONNECTIONS),
      planner,
    });
    const jobs = await Promise.all(JOBS.map((job) => loadJob(control, job)));
    return {
      home: config.home,
      flagsFolder: config.flagsFolder,
      database: withoutPassword(owner),
      embedded: server ? { adopted: server.adopted } : false,
      control,
      planes,
      jobs,
      urls: { owner, worker },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
