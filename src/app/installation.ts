import type { Installation, Opening, Purpose } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { within } from '../kernel/within.js';
import { jobPlacesInForce, placesInForce, type JobPlace } from '../flags/policy-places.js';
import type { Policy } from '../flags/policy.js';
import type { InstalledJob } from '../worker/registry.js';
import { lockedOut } from '../postgres/migrate.js';
import { isUnreachable, withoutPassword } from '../postgres/pool.js';
import { OpenedDatabase } from './opened-database.js';
import { OpenedDatabases, type RegionAddress } from './opened-databases.js';

/** How long to wait for the regions' databases: what is not there by then is said to be unreachable. */
const REGIONS_MS = 5_000;

/** How long a kill waits for the control database to say where the regions are. */
const KILL_MS = 5_000;

/**
 * Opens the control database (the embedded one unless the configuration names another) and those of the regions
 * for a purpose. What was opened is closed again if the control database fails; a region's that fails is tried
 * again, and keeps nothing else from being opened.
 */
export async function openInstallation(
  config: Config,
  purpose: Purpose,
  opening: Opening = {},
): Promise<Installation> {
  // Before any database: what is wrong with the file is said at once.
  const installed = installedBy(config, purpose, opening);
  const jobs = once(async () => (await import('../worker/registry.js')).knownJobs(await installed()));
  if (purpose !== 'kill') await installed();

  const server =
    config.databaseUrl === undefined
      ? await (
          await import('../postgres/embedded-server.js')
        ).startEmbedded({ folder: config.home, existing: purpose === 'look' || purpose === 'kill' })
      : undefined;
  const owner = config.databaseUrl ?? server?.url ?? '';
  const options = { jobs, purpose, concurrentRuns: config.concurrentRuns };
  const home = new OpenedDatabase({
    ...options,
    name: 'control',
    url: owner,
    given: config.logins,
    // Region schema too: it holds the regions that have no database of their own.
    schemas: ['control', 'region'],
  });
  const databases = new OpenedDatabases(home, addressesOf(config), options);
  const close = async (): Promise<void> => {
    await databases.close();
    await server?.stop();
  };
  try {
    await openFor(purpose, home, databases, config, opening);
    const known = purpose === 'kill' || purpose === 'set-up' ? [] : await jobs();
    return {
      purpose,
      concurrentRuns: config.concurrentRuns,
      get databases() {
        return databases.opened();
      },
      home: config.home,
      flagsFolder: config.flagsFolder,
      database: withoutPassword(owner),
      embedded: server ? { adopted: server.adopted, revive: () => server.revive() } : false,
      control: home.owner,
      regionDatabases: databases,
      place: (policies) => databases.place(policies),
      jobs: known,
      installed,
      urls: {
        owner,
        get worker() {
          return home.workerUrl;
        },
      },
      close,
    };
  } catch (error) {
    const told = purpose === 'look' ? await lockedOut([home.owner], error) : error;
    await close();
    throw told;
  }
}

/** The jobs of the configuration file, if there is one; else the one that Portcullis brings. */
function installedBy(
  { buildId, configFile, providersFile }: Config,
  purpose: Purpose,
  { config: file = configFile, jobs = true }: Opening,
): () => Promise<readonly InstalledJob[]> {
  if (file === undefined) {
    // Whoever kills does not wait for the job's code.
    return once(async () => (await import('./installed-jobs.js')).installedJobs({ buildId, providersFile }));
  }
  if (purpose === 'kill' || !jobs) return () => Promise.resolve([]);
  return once(async () => (await import('./config-file.js')).jobsOfFile(file, buildId));
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

function addressesOf({ regionDatabaseUrls, regionLogins }: Config): Record<string, RegionAddress> {
  return Object.fromEntries(
    Object.entries(regionDatabaseUrls).map(([variable, url]) => [
      variable,
      { url, given: regionLogins[variable] ?? {} },
    ]),
  );
}

/** Opens what the purpose needs. */
async function openFor(
  purpose: Purpose,
  home: OpenedDatabase,
  databases: OpenedDatabases,
  config: Config,
  { jobs = true }: Opening,
): Promise<void> {
  if (purpose === 'set-up') {
    if (jobs) await placeJobs(home, databases, config);
    else databases.given();
    return;
  }
  if (purpose === 'kill') {
    databases.place(await placesToKill(home, config));
    return;
  }
  await home.openNow();
  const { policiesInForce } = await import('../flags/policy-store.js');
  databases.place(await policiesInForce(home.owner));
  await databases.settle(REGIONS_MS);
}

/** SQLSTATEs of a database without our schema. */
const NO_SCHEMA = new Set(['42P01', '3F000']);

/**
 * Says of every database which jobs bring tables there: those with regions in it, by the policies in force and, since
 * `migrate` comes before `flags apply`, by those of the files.
 */
async function placeJobs(home: OpenedDatabase, databases: OpenedDatabases, config: Config): Promise<void> {
  const inForce = await within(
    KILL_MS,
    () => jobPlacesInForce(home.owner),
    () => Object.assign(new Error('the control database does not answer'), { code: 'ETIMEDOUT' }),
  ).catch((error: unknown) => {
    if (isUnreachable(error) || NO_SCHEMA.has(String((error as { code?: unknown }).code))) return [];
    throw error;
  });
  // The files that Portcullis ships are for a database's first start alone.
  const files = config.flagsShipped && inForce.length > 0 ? [] : await placesOfFiles(config.flagsFolder);
  const places = [...inForce, ...files];
  databases.place(
    places.flatMap(({ region, variable }) =>
      variable === null ? [] : [{ databases: { [region]: variable } }],
    ),
  );
  for (const database of databases.given()) {
    const here = places.filter(({ region }) => databases.of(region) === database);
    // One that does not answer says so itself, when it is set up.
    await database.brings(here.map(({ job }) => job)).catch((error: unknown) => {
      if (!isUnreachable(error)) throw error;
    });
  }
}

async function placesOfFiles(folder: string): Promise<JobPlace[]> {
  const { readPolicies } = await import('../flags/policy.js');
  return (await readPolicies(folder)).flatMap(({ policy: { job, regions, databases = {} } }) =>
    regions.map((region) => ({ job, region, variable: databases[region] ?? null })),
  );
}

/** Where the policies in force say that regions are; where those of the files do, if the control database cannot tell. */
async function placesToKill(
  home: OpenedDatabase,
  config: Config,
): Promise<readonly Pick<Policy, 'databases'>[]> {
  try {
    return await within(
      KILL_MS,
      () => placesInForce(home.owner),
      () => Object.assign(new Error('the control database does not answer'), { code: 'ETIMEDOUT' }),
    );
  } catch (error) {
    if (!isUnreachable(error) && !NO_SCHEMA.has(String((error as { code?: unknown }).code))) throw error;
    const { readPolicies } = await import('../flags/policy.js');
    return (await readPolicies(config.flagsFolder)).map(({ policy }) => policy);
  }
}
