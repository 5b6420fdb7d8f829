import type pg from 'pg';
import type { Installation, SampleAway } from '../cli/app-port.js';
import { setSampleFlags } from '../demo/sample-flags.js';
import { policiesInForce } from '../flags/policy-store.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { startPoller, type Poller } from '../kernel/poller.js';
import { within } from '../kernel/within.js';
import { listOf } from '../kernel/words.js';
import { databaseTime } from '../postgres/database-clock.js';
import type { RegionDatabase } from '../regions/region-database.js';
import type { Log } from '../telemetry/log.js';
import { bringsSample, fillSample, goOnSample, sampleState, type SampledJob } from '../worker/job-sample.js';
import type { PlacedJob } from '../worker/worker.js';

/** How long a database may take to be reached and prepared: those that are not are left out. */
const REACH_MS = 10_000;
const SEED = 'portcullis';
/** Often enough for each scheduled run to find something. */
const LIFE_MS = 300_000;

interface PlacedSample {
  readonly job: SampledJob;
  readonly version: string;
  /** All regions of the job's policy. */
  readonly regions: readonly string[];
  /** The databases of these, each with its own. */
  readonly databases: ReadonlyMap<RegionDatabase, readonly string[]>;
}

export interface SamplesFilled {
  /** Whether there was anything to fill. */
  readonly any: boolean;
  readonly away: readonly SampleAway[];
}

/**
 * Fills the tables of every job that brings a sample, in each database with its regions that is reached, and sets the job's
 * flags there so that gating shows. Throws USAGE_INVALID, and fills nothing, where no job brings a sample, or a database has
 * rows of others, and DATABASE_UNREACHABLE where no database is reached.
 */
export async function fillSamples(installation: Installation): Promise<SamplesFilled> {
  const { control, jobs } = installation;
  if (!jobs.some(({ definition }) => bringsSample(definition)))
    throw new PortcullisError(
      'USAGE_INVALID',
      `no job here brings a sample: ${listOf(jobs.map(({ definition: { name } }) => name))}`,
      { hint: 'leave out --sample, or give a job one: sample in its declaration' },
    );
  const samples = await placedSamples(installation);
  const away = await notReached(samples);
  const isAway = (job: SampledJob, { name }: RegionDatabase): boolean =>
    away.some((each) => each.job === job.name && each.database === name);
  for (const { job, databases } of samples)
    for (const database of databases.keys()) if (!isAway(job, database)) await requireFillable(job, database);
  const now = await databaseTime(control);
  let any = false;
  for (const { job, version, regions, databases } of samples) {
    const filled = new Set<string>();
    for (const [database, own] of databases) {
      if (isAway(job, database)) continue;
      if (await fillSample(database.owner, job, { regions: own, seed: SEED, now }))
        for (const region of own) filled.add(region);
    }
    if (filled.size > 0) await setSampleFlags(control, job.name, regions, version, filled);
    any ||= filled.size > 0;
  }
  return { any, away };
}

/** Waits for all databases at once. Throws DATABASE_UNREACHABLE where none of them is reached. */
async function notReached(samples: readonly PlacedSample[]): Promise<SampleAway[]> {
  const databases = [...new Set(samples.flatMap((sample) => [...sample.databases.keys()]))];
  const failed = new Map<RegionDatabase, Error>();
  await Promise.all(
    databases.map(async (database) => {
      const late = (): Error =>
        new PortcullisError(
          'DATABASE_UNREACHABLE',
          `the database ${database.name} is not reached, so it has no sample`,
          { hint: 'start it, or leave out --sample' },
        );
      await within(REACH_MS, () => database.prepare(), late).catch((error: unknown) => {
        if (!(error instanceof PortcullisError) || error.code !== 'DATABASE_UNREACHABLE') throw error;
        failed.set(database, error);
      });
    }),
  );
  const [first] = failed.values();
  if (first !== undefined && failed.size === databases.length) throw first;
  return samples.flatMap(({ job, databases: of }) =>
    [...of].flatMap(([database, regions]) =>
      failed.has(database) ? [{ job: job.name, database: database.name, regions }] : [],
    ),
  );
}

async function placedSamples({ control, regionDatabases, jobs }: Installation): Promise<PlacedSample[]> {
  const policies = await policiesInForce(control);
  return jobs.flatMap(({ definition: job, version }): PlacedSample[] => {
    const regions = policies.find((policy) => policy.job === job.name)?.regions ?? [];
    if (!bringsSample(job)) return [];
    const databases = new Map<RegionDatabase, string[]>();
    for (const region of regions) {
      const database = regionDatabases.of(region);
      databases.set(database, [...(databases.get(database) ?? []), region]);
    }
    return [{ job, version, regions, databases }];
  });
}

async function requireFillable(job: SampledJob, database: RegionDatabase): Promise<void> {
  // The job may bring its tables.
  await database.job(job.name);
  if ((await sampleState(database.owner, job)) !== 'others') return;
  throw new PortcullisError(
    'USAGE_INVALID',
    `the database ${database.name} has rows in the tables of ${job.name} that are no sample; nothing was written`,
    { hint: 'leave out --sample, or name an empty database' },
  );
}

/** Has samples go on in the regions that this process serves, each as long as its database is one. */
export function startSampleLife(
  ownerOf: (region: string) => { readonly open: boolean; readonly owner: pg.Pool },
  jobs: Installation['jobs'],
  served: () => readonly PlacedJob[],
  log: Log,
): Poller {
  return startPoller(
    LIFE_MS,
    async () => {
      for (const { policy, regions } of served()) {
        const job = jobs.find(({ definition }) => definition.name === policy.job)?.definition;
        if (job === undefined || !bringsSample(job)) continue;
        for (const region of regions) {
          const { open, owner } = ownerOf(region);
          if (open) await goOnSample(owner, job, region);
        }
      }
    },
    (error) => log.error({ code: 'sample-unchanged', err: error }, `sample: ${messageOf(error)}`),
    { restFirst: true },
  );
}
