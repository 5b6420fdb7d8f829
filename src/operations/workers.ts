import { z } from 'zod';
import { pageOfList } from '../postgres/page.js';
import { listVersions, listWorkers, type WorkerView } from '../rollout/announce.js';
import { operation } from './operation.js';
import { count, named, pageSchema, isoTime } from '../kernel/schema.js';
import { jobQuery, pageQuery } from './schemas.js';

const regions = z.array(z.string()).readonly();

const VersionPage = pageSchema(
  'VersionPage',
  named(
    'Version',
    z.strictObject({
      job: z.string(),
      version: z.string(),
      installed: z.boolean().describe('whether the process that answers has it'),
      live: regions.describe('the regions in which a worker can run it now'),
      admitted: z
        .array(z.strictObject({ region: z.string(), permille: count }))
        .readonly()
        .describe('the regions in which it may act, each for at most so many thousandths'),
      firstSeenAt: isoTime,
      lastSeenAt: isoTime,
    }),
  ),
);

const WorkerPage = pageSchema(
  'WorkerPage',
  named(
    'Worker',
    z.strictObject({
      worker: z.string(),
      atWork: z.boolean().describe('false: silent for 20 s or more'),
      lastSeenAt: isoTime,
      versions: z
        .array(
          z.strictObject({
            job: z.string(),
            version: z.string(),
            regions,
            flags: z
              .array(
                z.strictObject({
                  region: z.string(),
                  heard: count.nullable().describe('the revision that it acts on; null: it has heard none'),
                  current: count
                    .nullable()
                    .describe('the revision in force; null: there is no such flag, or flags are elsewhere'),
                }),
              )
              .readonly()
              .describe('of each region; renewed every 5 s'),
          }),
        )
        .readonly()
        .describe('what it can run, and where'),
    }),
  ),
);

/** Which versions there are, and which workers can run them. */
export const workerOperations = {
  listVersions: operation({
    at: 'GET /api/v1/versions',
    example: { job: 'dormant-cleanup' },
    summary: 'Versions of jobs: installed here, live in which regions, admitted how far',
    action: 'read',
    query: z.strictObject({ ...pageQuery, job: jobQuery }),
    result: VersionPage,
    run: async ({ control, jobs }, { job, ...page }) => {
      const installed = new Set(jobs().map(({ name, version }) => `${name} ${version}`));
      const versions = (await listVersions(control, job)).map((each) => ({
        ...each,
        installed: installed.has(`${each.job} ${each.version}`),
      }));
      return pageOfList(versions, page, (each) => [each.job, each.version]);
    },
  }),
  listWorkers: operation({
    at: 'GET /api/v1/workers',
    example: {},
    summary: 'Workers, with what each can run and where, and the revision of each flag that it has heard',
    action: 'read',
    query: z.strictObject({ ...pageQuery }),
    result: WorkerPage,
    run: async ({ control, flagsAt }, page) => {
      const { items, next } = pageOfList(await listWorkers(control), page, ({ worker }) => [worker]);
      if (flagsAt === undefined) return { items, next };
      return { items: items.map(withoutCurrent), next };
    },
  }),
};

/** The control database's flags are not in force where others are. */
function withoutCurrent(worker: WorkerView): WorkerView {
  const versions = worker.versions.map((each) => ({
    ...each,
    flags: each.flags.map((flag) => ({ ...flag, current: null })),
  }));
  return { ...worker, versions };
}
