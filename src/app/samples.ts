import type pg from 'pg';
import type { Installation } from '../cli/app-port.js';
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

/** How long a database may take to be reached and prepared. */
const REACH_MS = 30_000;
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

/**
 * Fills the tables of every job that brings a sample, in each database with its regions, and sets the job's flags so that
 * gating shows. Answers whether there was anything to fill. Throws USAGE_INVALID, and fills nothing, where no job brings a
 * sample, or a database has rows of others.
 */
export async function fillSamples(installation: Installation): Promise<boolean> {
  const { control, jobs } = installation;
  if (!jobs.some(({ definition }) => bringsSample(definition)))
    throw new PortcullisError(
      'USAGE_INVALID',
      `no job here brings a sample: ${listOf(jobs.map(({ definition: { name } }) => name))}`,
      { hint: 'leave out --sample, or give a job one: sample in its declaration' },
    );
  const samples = await placedSamples(installation);
  for (const sample of samples) await requireFillable(sample);
  const now = await databaseTime(control);
  let any = false;
  for (const { job, version, regions, databases } of samples) {
    let filled = false;
    for (const [{ owner }, own] of databases)
      filled = (await fillSample(owner, job, { regions: own, seed: SEED, now })) || filled;
    if (filled) await setSampleFlags(control, job.name, regions, version);
    any ||= filled;
  }
  return any;
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

async function requireFillable({ job, databases }: PlacedSample): Promise<void> {
  for (const [database] of databases) {
    await within(
      REACH_MS,
      () => database.prepare(),
      () =>
        new PortcullisError(
          'DATABASE_UNREACHABLE',
          `the database ${database.name} is not reached, so the sample of ${job.name} is not filled`,
          { hint: 'start it, or leave out --sample' },
        ),
    );
    // The job may bring its tables.
    await database.job(job.name);
    if ((await sampleState(database.owner, job)) !== 'others') continue;
    throw new PortcullisError(
      'USAGE_INVALID',
      `the database ${database.name} has rows in the tables of ${job.name} that are no sample; nothing was written`,
      { hint: 'leave out --sample, or name an empty database' },
    );
  }
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
