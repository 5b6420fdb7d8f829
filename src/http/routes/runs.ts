import { z } from 'zod';
import { CHANGE_STATES, listChanges } from '../../journal/browse-changes.js';
import { findRun, listRuns } from '../../scheduler/browse-runs.js';
import type { HttpDeps } from '../deps.js';
import { route, type Route } from '../route.js';
import {
  ChangePage,
  Run,
  RunPage,
  jobQuery,
  kindQuery,
  pageQuery,
  regionQuery,
  runIdPath,
  statusQuery,
} from '../schemas.js';

export function runRoutes({ pools: { region: pool } }: HttpDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/v1/runs',
      operationId: 'listRuns',
      summary: 'Runs, newest first',
      action: 'read',
      query: z.strictObject({ ...pageQuery, job: jobQuery, region: regionQuery, status: statusQuery }),
      result: RunPage,
      handle: ({ query }) => listRuns(pool, query, query),
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
      handle: ({ params }) => findRun(pool, params.id),
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
      handle: async ({ params, query }) => {
        const { runId } = await findRun(pool, params.id);
        return listChanges(pool, runId, query, query);
      },
    }),
  ];
}
