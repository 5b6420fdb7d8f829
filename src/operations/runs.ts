import { z } from 'zod';
import { recordPersonalRead } from '../access/personal-data.js';
import { verdictsOf } from '../guard/verdict-rows.js';
import { CHANGE_STATES, listChanges } from '../journal/browse-changes.js';
import { findRunOf, listRunsOf } from '../regions/browse.js';
import { operation } from './operation.js';
import { ChangePage, Run, RunPage, RunVerdicts, kindQuery, runIdPath, statusQuery } from './run-schemas.js';
import { jobQuery, pageQuery, regionQuery, withoutReasons } from './schemas.js';

export const runOperations = {
  listRuns: operation({
    at: 'GET /api/v1/runs',
    example: { job: 'dormant-cleanup', limit: 20 },
    summary: 'Runs, newest first',
    action: 'read',
    query: z.strictObject({ ...pageQuery, job: jobQuery, region: regionQuery, status: statusQuery }),
    result: RunPage,
    run: async ({ planes }, query) => withoutReasons(await listRunsOf(planes, query, query)),
  }),
  getRun: operation({
    at: 'GET /api/v1/runs/:id',
    example: { id: '5eed0000' },
    summary: 'One run',
    action: 'read',
    params: z.strictObject({ id: runIdPath }),
    result: Run,
    errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
    run: async ({ planes }, params) => (await findRunOf(planes, params.id)).run,
  }),
  listRunVerdicts: operation({
    at: 'GET /api/v1/runs/:id/verdicts',
    example: { id: '5eed0000' },
    summary: 'What the rules of the guard said of a run',
    action: 'read',
    params: z.strictObject({ id: runIdPath }),
    result: RunVerdicts,
    errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
    run: async ({ planes }, params) => {
      const { run, plane } = await findRunOf(planes, params.id);
      return { verdicts: await verdictsOf(plane.worker, run.runId) };
    },
  }),
  listRunChanges: operation({
    at: 'GET /api/v1/runs/:id/changes',
    example: { id: '5eed0000', limit: 200 },
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
    run: async ({ control, planes }, { id, ...query }, caller) => {
      const { run, plane } = await findRunOf(planes, id);
      await recordPersonalRead(control, caller, `run ${run.runId}`, {
        ...{ kind: query.kind ?? null, state: query.state ?? null, cursor: query.cursor ?? null },
      });
      return listChanges(plane.worker, run.runId, query, query);
    },
  }),
};
