import { z } from 'zod';
import { orderBreakGlass } from '../regions/order-rollout.js';
import { LONGEST_BREAK_GLASS_MS, revokeBreakGlass } from '../rollout/break-glass.js';
import { operation } from './operation.js';
import { durationMs, named, reason, word } from '../kernel/schema.js';
import { jobQuery, namePath, approvalIdPath } from './schemas.js';
import { Approval } from '../access/approvals.js';
import { listBreakGlass, BreakGlass } from '../flags/browse-break-glass.js';

const BreakGlassList = named('BreakGlassList', z.strictObject({ items: z.array(BreakGlass).readonly() }));

const BreakGlassOrder = named(
  'BreakGlassOrder',
  z.strictObject({
    version: word,
    permille: z.int().min(1).max(1000).describe('share of the region, in thousandths'),
    reason,
    forMs: durationMs
      .max(LONGEST_BREAK_GLASS_MS)
      .optional()
      .describe('how long from the approval on; default 24 hours'),
  }),
);

/** What lets a version act beyond what a rollout has admitted, for a time. */
export const breakGlassOperations = {
  listBreakGlass: operation({
    at: 'GET /api/v1/break-glass',
    example: { job: 'dormant-cleanup' },
    summary: 'Break-glass, newest first: what is in force, and what ever was; at most 1,000',
    action: 'read',
    query: z.strictObject({
      job: jobQuery,
      inForce: z.enum(['true', 'false']).optional().describe('true: only what counts now'),
    }),
    result: BreakGlassList,
    run: async ({ control }, { job, inForce }) => ({
      items: await listBreakGlass(control, { job, inForce: inForce === 'true' }),
    }),
  }),
  requestBreakGlass: operation({
    at: 'POST /api/v1/flags/:job/:region/break-glass',
    example: {
      ...{ job: 'dormant-cleanup', region: 'eu-west-1', version: '1.1.0', permille: 500 },
      reason: 'the fix cannot wait for its bake',
    },
    summary: 'Asks that a version may act beyond what a rollout has admitted; another person decides',
    action: 'break-glass',
    params: z.strictObject({ job: namePath, region: namePath }),
    body: BreakGlassOrder,
    oneCommit: true,
    result: Approval,
    errors: ['POLICY_MISSING', 'POLICY_INVALID', 'REGION_UNKNOWN', 'VERSION_UNKNOWN', 'BREAK_GLASS_REFUSED'],
    run: ({ control, regionDatabases, installed }, { region, ...wish }, caller) =>
      orderBreakGlass(control, regionDatabases, installed(), { regions: [region], ...wish }, caller),
  }),
  revokeBreakGlass: operation({
    at: 'POST /api/v1/break-glass/:id/revoke',
    example: { id: 'k3vq7m2x', reason: 'the queue is empty' },
    summary: 'Ends break-glass at once, without a second person',
    action: 'kill',
    reach: async ({ control }, { id }) => (await listBreakGlass(control, { id })).map(({ region }) => region),
    params: z.strictObject({ id: approvalIdPath }),
    body: z.strictObject({ reason }),
    oneCommit: true,
    result: BreakGlassList,
    errors: ['NOTHING_REACHED'],
    run: async ({ control }, order, caller) => ({ items: await revokeBreakGlass(control, order, caller) }),
  }),
};
