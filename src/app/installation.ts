import type { Installation } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { loadPolicies } from '../flags/policy-store.js';
import { readPolicies, type Policy } from '../flags/policy.js';
import { domainClaim } from '../jobs/domain-claim/job.js';
import type { InstalledJob } from '../jobs/registry.js';
import { startEmbedded } from '../store/embedded-server.js';
import { isUnreachable, withoutPassword } from '../store/pool.js';
import { RegionDatabase } from './region-database.js';
import { RegionDatabases } from './region-databases.js';

/** The jobs that this program can run. */
const JOBS: readonly InstalledJob[] = [
  { definition: domainClaim, folder: new URL('../jobs/domain-claim/', import.meta.url) },
];

/** How long to wait for the regions' databases: what is not there by then is said to be unreachable. */
const REGIONS_MS = 5_000;

/**
 * Opens the control database (the embedded one unless the configuration names another) and those of the regions,
 * brings them to this program's schema, and checks the jobs against them. What was opened is closed again if the
 * control database fails; a region's that fails is tried again, and keeps nothing else from being opened.
 */
export async function openInstallation(
  config: Config,
  { withoutControl = false }: { readonly withoutControl?: boolean } = {},
): Promise<Installation> {
  const server = config.databaseUrl === undefined ? await startEmbedded({ folder: config.home }) : undefined;
  const owner = config.databaseUrl ?? server?.url ?? '';
  // Region schema too: it holds the regions that have no database of their own, and the jobs are checked on it.
  const home = new RegionDatabase('control', owner, ['control', 'region'], JOBS);
  const databases = new RegionDatabases(home, config.regionDatabaseUrls, JOBS);
  const close = async (): Promise<void> => {
    await databases.close();
    await server?.stop();
  };
  try {
    databases.place(await policiesOf(home, config, withoutControl));
    await databases.settle(REGIONS_MS);
    const jobs = databases.all().find(({ open }) => open)?.jobs ?? [];
    return {
      home: config.home,
      flagsFolder: config.flagsFolder,
      database: withoutPassword(owner),
      embedded: server ? { adopted: server.adopted, revive: () => server.revive() } : false,
      control: home.owner,
      planes: databases,
      place: (policies) => databases.place(policies),
      jobs,
      urls: {
        owner,
        get worker() {
          return home.workerUrl;
        },
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The policies in force; where the control database is away and can be done without, those of the files. */
async function policiesOf(
  home: RegionDatabase,
  config: Config,
  withoutControl: boolean,
): Promise<readonly Policy[]> {
  try {
    await home.openNow();
    return (await loadPolicies(home.owner)).flatMap((each) => (each.ok ? [each.policy] : []));
  } catch (error) {
    if (!withoutControl || !isUnreachable(error)) throw error;
    return (await readPolicies(config.flagsFolder)).map(({ policy }) => policy);
  }
}
