import { z } from 'zod';
import { recordPersonalRead } from '../../access/personal-data.js';
import { verdictsOf } from '../../guard/verdict-rows.js';
import { CHANGE_STATES, listChanges } from '../../journal/browse-changes.js';
import { findRunOf, listRunsOf } from '../../regions/browse.js';
import type { HttpDeps } from '../deps.js';
import { callerOf, route, type Route } from '../route.js';
import { ChangePage, Run, RunPage, RunVerdicts, kindQuery, runIdPath, statusQuery } from '../run-schemas.js';
import { jobQuery, pageQuery, regionQuery } from '../schemas.js';
import { withoutReasons } from '../unreachable.js';

export function runRoutes({ control, planes }: HttpDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/v1/runs',
      operationId: 'listRuns',
      summary: 'Runs, newest first',
      action: 'read',
      query: z.strictObject({ ...pageQuery, job: jobQuery, region: regionQuery, status: statusQuery }),
      result: RunPage,
      handle: async ({ query }) => withoutReasons(await listRunsOf(planes, query, query)),
    }),
    route({
      method: 'get',
      path: '/api/v1/runs/:id',
      operationId: 'getRun',
      summary: 'One run',
      action: 'read',
      params: z.strictObject({ id: runIdPath }),
      result: Run,
      errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
      handle: async ({ params }) => (await findRunOf(planes, params.id)).run,
    }),
    route({
      method: 'get',
      path: '/api/v1/runs/:id/verdicts',
      operationId: 'listRunVerdicts',
      summary: 'What the rules of the guard said of a run',
      action: 'read',
      params: z.strictObject({ id: runIdPath }),
      result: RunVerdicts,
      errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
      handle: async ({ params }) => {
        const { run, plane } = await findRunOf(planes, params.id);
        return { verdicts: await verdictsOf(plane.worker, run.runId) };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/runs/:id/changes',
      operationId: 'listRunChanges',
      summary: "A run's changes and what became of each, lane by lane in the order of application",
      action: 'read',
      params: z.strictObject({ id: runIdPath }),
      query: z.strictObject({
        ...pageQuery,
        kind: kindQuery,
        state: z.enum(CHANGE_STATES).optional().describe('only in this state'),
      }),
      result: ChangePage,
      errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
      handle: async ({ params, query, caller }) => {
        const { run, plane } = await findRunOf(planes, params.id);
        await recordPersonalRead(control, callerOf(caller), `run ${run.runId}`, {
          ...{ kind: query.kind ?? null, state: query.state ?? null, cursor: query.cursor ?? null },
        });
        return listChanges(plane.worker, run.runId, query, query);
      },
    }),
  ];
}
