import { z } from 'zod';
import type { Admissions } from '../flags/admission.js';
import { readAdmissions } from '../flags/admission-store.js';
import type { BreakGlassInForce } from '../flags/definition.js';
import type { GateView } from '../gate/browse-gates.js';
import { listGatesOf } from '../regions/browse.js';
import { pageOfList } from '../postgres/page.js';
import { operation } from './operation.js';
import { GatePage, JobPage } from './gate-schemas.js';
import { jobQuery, pageQuery, regionQuery, withoutReasons } from './schemas.js';

/** The break-glass without which the gate would let a version act for less. */
function restsOn({ job, region, variants }: GateView, admissions: Admissions) {
  const inForce = admissions.of(job, region).breakGlass ?? new Map<string, BreakGlassInForce>();
  return [...inForce].flatMap(([version, { id, permille, admitted, until }]) =>
    variants.some((share) => share.version === version && share.permille > admitted)
      ? [{ version, id, permille, admitted, until }]
      : [],
  );
}

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
    run: async ({ control, regionDatabases }, query) => {
      const { items, ...page } = withoutReasons(await listGatesOf(regionDatabases, query, query));
      const admissions = await readAdmissions(control);
      return { ...page, items: items.map((gate) => ({ ...gate, breakGlass: restsOn(gate, admissions) })) };
    },
  }),
};
