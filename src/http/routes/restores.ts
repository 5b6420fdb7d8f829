import { z } from 'zod';
import { requireMay } from '../../access/roles.js';
import { recordAudit } from '../../audit/record.js';
import { PortcullisError } from '../../base/errors.js';
import { previewRestores } from '../../jobs/restore-runs.js';
import { parseSubject } from '../../jobs/subject.js';
import { impactOf } from '../../journal/impact.js';
import { asOfIn, findRunOf } from '../../planes/browse.js';
import { activeRestore, electRestore } from '../../scheduler/elect-restore.js';
import { RUN_STATES } from '../../scheduler/run-states.js';
import type { HttpDeps } from '../deps.js';
import { callerOf, route, type Route } from '../route.js';
import {
  AsOf,
  Impact,
  RestoreBegun,
  RestorePreview,
  regionQuery,
  runIdPath,
  subjectPath,
} from '../schemas.js';

/** What a run has done to the tables, and the way back. */
export function restoreRoutes({ installed, control, planes }: HttpDeps): Route[] {
  const params = z.strictObject({ id: runIdPath });
  const errors = ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'] as const;
  return [
    route({
      method: 'get',
      path: '/api/v1/runs/:id/impact',
      operationId: 'getRunImpact',
      summary: 'What a run has changed, in numbers',
      action: 'read',
      params,
      result: Impact,
      errors,
      handle: async ({ params: { id } }) => {
        const { run, plane } = await findRunOf(planes, id);
        return { runId: run.runId, ...(await impactOf(plane.worker, run.runId)) };
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/runs/:id/restore',
      operationId: 'previewRestore',
      summary: 'What a restore of a run would do now; writes nothing',
      action: 'read',
      params,
      result: RestorePreview,
      errors,
      handle: async ({ params: { id } }) => {
        const {
          run: { runId },
          plane,
        } = await findRunOf(planes, id);
        const [found] = await previewRestores(plane.worker, [runId]);
        if (!found) throw new PortcullisError('RUN_UNKNOWN', `there is no run ${runId}`);
        return { runId, ...found.preview };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/runs/:id/restore',
      operationId: 'restoreRun',
      summary: 'Begins a restore of a run, for a worker of its region to carry out',
      action: 'restore',
      regionOf: 'handler',
      params,
      result: RestoreBegun,
      statuses: [202],
      statusOf: () => 202,
      errors: [...errors, 'RUN_ACTIVE'],
      handle: async ({ params: { id }, caller }) => {
        const principal = callerOf(caller);
        const { run, plane } = await findRunOf(planes, id);
        const { runId, job, version, region, status } = run;
        requireMay(principal, 'restore', region);
        if (RUN_STATES[status].active) {
          throw new PortcullisError(
            'RUN_ACTIVE',
            `run ${runId.slice(0, 8)} of ${job} is not over in ${region}`,
            {
              mend: `stop it first: kill ${job} in ${region}; then restore it`,
              details: { run: runId, job, region },
            },
          );
        }
        const evidence = { job, version, region };
        await recordAudit(control, {
          principal: principal.name,
          action: 'restore',
          subject: runId,
          evidence,
        });
        const begun = await electRestore(plane.worker, { of: runId, worker: 'http', leaseMs: 0 });
        // One that is under way already is the answer too: to ask twice is to ask once.
        const restore = begun?.id ?? (await activeRestore(plane.worker, runId));
        if (restore !== undefined) return { runId, restore, begun: begun !== undefined };
        throw new PortcullisError(
          'RUN_ACTIVE',
          `a restore of run ${runId.slice(0, 8)} ended in this moment`,
          {
            mend: 'try again',
            details: { run: runId, job, region },
          },
        );
      },
    }),
    route({
      method: 'get',
      path: '/api/v1/asof/:subject',
      operationId: 'getAsOf',
      summary: 'The values that a row had at a moment, and which run set them',
      action: 'read',
      params: z.strictObject({ subject: subjectPath }),
      query: z.strictObject({
        at: z.iso.datetime({ offset: true }).optional().describe('the moment; absent: now'),
        region: regionQuery,
      }),
      result: AsOf,
      errors: ['SUBJECT_UNKNOWN'],
      handle: async ({ params: { subject }, query: { at, region } }) => {
        const moment = at === undefined ? new Date() : new Date(at);
        return { subject, ...(await asOfIn(planes, parseSubject(installed(), subject), moment, region)) };
      },
    }),
  ];
}
