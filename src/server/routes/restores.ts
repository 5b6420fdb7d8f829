import { z } from 'zod';
import { recordPersonalRead } from '../../access/personal-data.js';
import { PortcullisError } from '../../kernel/errors.js';
import { previewRestores } from '../../worker/restore-runs.js';
import { parseSubject } from '../../worker/subject.js';
import { impactOf } from '../../journal/impact.js';
import { asOfIn, findRunOf } from '../../regions/browse.js';
import { beginRestore } from '../begin-restore.js';
import type { HttpDeps } from '../deps.js';
import { callerOf, route, type Route } from '../route.js';
import { AsOf, Impact, RestoreBegun, RestorePreview, subjectPath } from '../restore-schemas.js';
import { runIdPath } from '../run-schemas.js';
import { regionQuery } from '../schemas.js';

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
      reach: async ({ id }) => [(await findRunOf(planes, id)).run.region],
      params,
      result: RestoreBegun,
      statuses: [202],
      statusOf: () => 202,
      errors: [...errors, 'RUN_ACTIVE', 'NOTHING_REACHED'],
      handle: async ({ params: { id }, caller }) =>
        beginRestore(control, await findRunOf(planes, id), callerOf(caller)),
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
      handle: async ({ params: { subject }, query: { at, region }, caller }) => {
        const moment = at === undefined ? new Date() : new Date(at);
        const parsed = parseSubject(installed(), subject);
        await recordPersonalRead(control, callerOf(caller), subject, { at: moment.toISOString() });
        return { subject, ...(await asOfIn(planes, parsed, moment, region)) };
      },
    }),
  ];
}
