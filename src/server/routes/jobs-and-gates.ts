import { z } from 'zod';
import { listGatesOf } from '../../regions/browse.js';
import { pageOfList } from '../../postgres/page.js';
import type { HttpDeps } from '../deps.js';
import { route, type Route } from '../route.js';
import { GatePage, JobPage } from '../gate-schemas.js';
import { jobQuery, pageQuery, regionQuery } from '../schemas.js';
import { withoutReasons } from '../unreachable.js';

export function jobAndGateRoutes({ jobs, planes }: HttpDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/v1/jobs',
      operationId: 'listJobs',
      summary: 'The jobs that this process knows, by name',
      action: 'read',
      query: z.strictObject({ ...pageQuery, region: regionQuery }),
      result: JobPage,
      handle: ({ query: { region, ...page } }) =>
        pageOfList(
          jobs().filter((job) => region === undefined || job.regions.includes(region)),
          page,
          (job) => [job.name],
        ),
    }),
    route({
      method: 'get',
      path: '/api/v1/gates',
      operationId: 'listGates',
      summary: 'Gates by job and region, with why each is as it is',
      action: 'read',
      query: z.strictObject({ ...pageQuery, job: jobQuery, region: regionQuery }),
      result: GatePage,
      handle: async ({ query }) => withoutReasons(await listGatesOf(planes, query, query)),
    }),
  ];
}
