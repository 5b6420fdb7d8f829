import { z } from 'zod';
import { APPROVAL_STATES } from '../access/approvals.js';
import { count, Evidence, named, pageSchema, time, word } from '../kernel/schema.js';

const hash = z.string().regex(/^[0-9a-f]{64}$/);

export const AuditEntry = named(
  'AuditEntry',
  z.strictObject({
    seq: z.int().describe('1 for the first, and one more for each'),
    at: time,
    principal: z.string(),
    action: z.string(),
    subject: z.string(),
    evidence: Evidence,
    flagRevision: z.int().nullable(),
    prev: hash.describe('the hash of the entry before'),
    hash: hash.describe('SHA-256 over the bytes of prev and the canonical JSON of all but prev and hash'),
  }),
);

export const AuditVerdict = named(
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

export const Approval = named(
  'Approval',
  z.strictObject({
    id: z.string(),
    action: z.string(),
    subject: z.string(),
    region: z.string().nullable().describe('null: everywhere'),
    reason: z.string(),
    evidence: Evidence,
    state: z.enum(APPROVAL_STATES),
    requestedBy: z.string().describe('the name of the token that asked'),
    requestedPerson: z.string().nullable().describe("whose token that is; null: a machine's"),
    requestedAt: time,
    expiresAt: time,
    decidedBy: z.string().nullable(),
    decidedPerson: z.string().nullable(),
    decidedAt: time.nullable(),
    introducedBy: z.string().nullable().describe('who introduced the person who approved'),
    caution: z.string().nullable().describe('what speaks against there having been two people'),
    carriedOutAt: time.nullable(),
    aloneAt: time.nullable().describe('when it approves itself, or did; null: it takes a second person'),
  }),
);

/** What asking for an approval answers. */
export const AuditPage = pageSchema('AuditPage', AuditEntry);
export const ApprovalPage = pageSchema('ApprovalPage', Approval);
export const approvalIdPath = word.describe("a request's id, in either case");

export const BreakGlass = named(
  'BreakGlass',
  z.strictObject({
    id: z.string().describe('the request that two people agreed on; one may be for several regions'),
    job: z.string(),
    region: z.string(),
    version: z.string(),
    permille: count.describe('thousandths of the region’s units'),
    reason: z.string(),
    requestedBy: z.string(),
    approvedBy: z.string(),
    grantedAt: time,
    expiresAt: time,
    inForce: z.boolean(),
    endedAt: time.nullable().describe('null: it is in force'),
    ended: z.enum(['expired', 'revoked', 'cleared']).nullable(),
    endedBy: z.string().nullable(),
    endedReason: z.string().nullable(),
    runs: z.array(z.guid()).readonly().describe('the runs that were planned under it'),
  }),
);
