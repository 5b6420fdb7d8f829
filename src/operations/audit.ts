import { z } from 'zod';
import { listAudit } from '../audit/browse-audit.js';
import { operation } from './operation.js';
import { AuditPage } from './record-schemas.js';
import { namePath, pageQuery } from './schemas.js';

/** What was done, and by whom. */
export const auditOperations = {
  listAudit: operation({
    at: 'GET /api/v1/audit',
    example: { action: 'kill' },
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
    run: ({ control }, query) => listAudit(control, query, query),
  }),
};
