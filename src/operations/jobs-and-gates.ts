import { z } from 'zod';
import { listGatesOf } from '../regions/browse.js';
import { pageOfList } from '../postgres/page.js';
import { operation } from './operation.js';
import { GatePage, JobPage } from './gate-schemas.js';
import { jobQuery, pageQuery, regionQuery, withoutReasons } from './schemas.js';

export const jobAndGateOperations = {
  listJobs: operation({
    at: 'GET /api/v1/jobs',
    example: { region: 'eu-west-1' },
    summary: 'The jobs that this process knows, by name',
    action: 'read',
    query: z.strictObject({ ...pageQuery, region: regionQuery }),
    result: JobPage,
    run: ({ jobs }, { region, ...page }) =>
      pageOfList(
        jobs().filter((job) => region === undefined || job.regions.includes(region)),
        page,
        (job) => [job.name],
      ),
  }),
  listGates: operation({
    at: 'GET /api/v1/gates',
    example: { job: 'dormant-cleanup' },
    summary: 'Gates by job and region, with why each is as it is',
    action: 'read',
    query: z.strictObject({ ...pageQuery, job: jobQuery, region: regionQuery }),
    result: GatePage,
    run: async ({ planes }, query) => withoutReasons(await listGatesOf(planes, query, query)),
  }),
};
