import { z } from 'zod';
import { listAudit } from '../../audit/browse-audit.js';
import type { HttpDeps } from '../deps.js';
import { route, type Route } from '../route.js';
import { AuditPage } from '../record-schemas.js';
import { namePath, pageQuery } from '../schemas.js';

/** What was done, and by whom. */
export function recordRoutes({ control }: HttpDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/v1/audit',
      operationId: 'listAudit',
      summary: 'The audit log, newest first',
      action: 'verify-audit',
      query: z.strictObject({
        ...pageQuery,
        principal: namePath.optional().describe('only what this principal did'),
        action: namePath.optional().describe('only this action'),
        subject: namePath.optional().describe('only what was done to this'),
        since: z.iso.datetime({ offset: true }).optional().describe('only from this moment on'),
      }),
      result: AuditPage,
      handle: ({ query }) => listAudit(control, query, query),
    }),
  ];
}
