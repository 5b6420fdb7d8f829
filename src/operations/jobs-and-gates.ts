import { z } from 'zod';
import type { Admissions } from '../flags/admission.js';
import { readAdmissions } from '../flags/admission-store.js';
import type { BreakGlassInForce } from '../flags/definition.js';
import { GateView } from '../gate/browse-gates.js';
import { listGatesOf } from '../regions/browse.js';
import { pageOfList } from '../postgres/page.js';
import { operation } from './operation.js';
import { readControl } from './without-control.js';
import { jobQuery, pageQuery, regionQuery, withoutReasons } from './schemas.js';
import { ListedBreakGlass } from '../flags/flag-desk.js';
import { named, pageSchema, regionsPageSchema } from '../kernel/schema.js';

const Job = named(
  'Job',
  z.strictObject({
    name: z.string(),
    version: z.string().describe('semantic version and digest of the code that this process has'),
    schedule: z.string().nullable().describe('cron, in UTC; null where no policy schedules it'),
    regions: z.array(z.string()).readonly(),
    kinds: z.array(z.string()).readonly().describe('kinds of change that it may propose'),
  }),
);

const JobPage = pageSchema('JobPage', Job);

const ListedGate = named(
  'ListedGate',
  z.strictObject({
    ...GateView.shape,
    breakGlass: ListedBreakGlass.nullable().describe(
      'break-glass by which a version has more here than it is admitted to; null: the control database did not answer',
    ),
  }),
);

const GatePage = regionsPageSchema('GatePage', ListedGate);

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
    compressed: true,
    example: { job: 'dormant-cleanup' },
    summary: 'Gates by job and region, with why each is as it is',
    action: 'read',
    query: z.strictObject({ ...pageQuery, job: jobQuery, region: regionQuery }),
    result: GatePage,
    run: async ({ control, regionDatabases }, query, caller) => {
      const { items, ...page } = withoutReasons(await listGatesOf(regionDatabases, query, query));
      const admissions = await readControl(caller, () => readAdmissions(control));
      return {
        ...page,
        items: items.map((gate) => ({ ...gate, breakGlass: admissions ? restsOn(gate, admissions) : null })),
      };
    },
  }),
};
