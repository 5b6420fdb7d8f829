import { z } from 'zod';
import { listAudit } from '../audit/browse-audit.js';
import { headText, parseHead } from '../audit/chain.js';
import { auditLine, exportAudit } from '../audit/lines.js';
import { verifyAudit } from '../audit/verify.js';
import { countUnrecordedTrips } from '../containment/trip-row.js';
import { countUnrecorded } from '../containment/unrecorded-kill.js';
import { queryRegions } from '../regions/query-regions.js';
import { operation, stream } from './operation.js';
import { word, count, named, pageSchema } from '../kernel/schema.js';
import { namePath, pageQuery } from './schemas.js';
import { ChainedEntry } from '../audit/entry.js';

const AuditPage = pageSchema('AuditPage', ChainedEntry);

const AuditVerdict = named(
  'AuditVerdict',
  z.strictObject({
    ok: z.boolean().describe('whether the log is whole'),
    count: count.describe('entries that were found sound'),
    head: z.string().optional().describe('the last entry: keep it, and expect it the next time'),
    seq: z.int().optional().describe('where the log is broken: the first entry that is not what it was'),
    reason: z.string().optional().describe('what is wrong with that entry'),
    waiting: z
      .strictObject({ kills: count, trips: count, unreachable: z.array(z.string()).readonly() })
      .describe(
        'kills and trips that hold and are not in the log yet, and the databases that were not asked',
      ),
  }),
);

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
  verifyAudit: operation({
    at: 'GET /api/v1/audit/verification',
    example: {},
    summary:
      'Verifies that no entry of the audit log was changed, removed or inserted; names the first that was',
    action: 'verify-audit',
    query: z.strictObject({
      expectHead: word.optional().describe('a head that was kept, which the log must still contain'),
    }),
    result: AuditVerdict,
    run: async ({ control, regionDatabases }, { expectHead }) => {
      const kept = expectHead === undefined ? undefined : parseHead(expectHead);
      const verdict = await verifyAudit(control, { expectHead: kept });
      const { answers, unreachable } = await queryRegions(regionDatabases, async ({ owner }) => ({
        kills: await countUnrecorded(owner),
        trips: await countUnrecordedTrips(control, owner),
      }));
      return {
        ...(verdict.ok ? { ...verdict, head: headText(verdict.head) } : verdict),
        waiting: {
          kills: answers.reduce((sum, { answer }) => sum + answer.kills, 0),
          trips: answers.reduce((sum, { answer }) => sum + answer.trips, 0),
          unreachable: unreachable.map(({ database }) => database),
        },
      };
    },
  }),
  exportAudit: stream({
    at: 'GET /api/v1/audit/export',
    example: {},
    summary: 'The whole audit log in order, with all that verifying it elsewhere takes',
    action: 'verify-audit',
    result: ChainedEntry,
    write: auditLine,
    run: ({ control }) => exportAudit(control),
  }),
};
