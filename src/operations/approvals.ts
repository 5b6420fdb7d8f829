import { z } from 'zod';
import {
  APPROVAL_STATES,
  findApproval,
  listApprovals,
  type Decision,
  Approval,
} from '../access/approvals.js';
import { approveAloneAndTell } from '../notify/tell-alone.js';
import { rolloutSources } from '../regions/rollout-sources.js';
import { decideRequest } from '../rollout/decide-request.js';
import { operation } from './operation.js';
import { named, reason, pageSchema } from '../kernel/schema.js';
import { pageQuery, approvalIdPath } from './schemas.js';

const ApprovalDecision = named(
  'ApprovalDecision',
  z.strictObject({ reason: reason.optional().describe('why, for the record') }),
);

const decision = <Each extends Decision>(decision: Each, summary: string) =>
  operation({
    at: `POST /api/v1/approvals/:id/${decision}`,
    example: { id: 'APR-7K2M' },
    summary,
    // Anybody may reject, and so cancel, what would approve itself. The region is the one that was asked for.
    action: decision === 'approve' ? 'approve' : 'cancel',
    reach: async ({ control }, { id }) => [(await findApproval(control, id)).region],
    params: z.strictObject({ id: approvalIdPath }),
    body: ApprovalDecision,
    result: Approval,
    errors: [
      'APPROVAL_UNKNOWN',
      'APPROVAL_SELF',
      'MACHINE_CANNOT_APPROVE',
      'APPROVER_UNPROVEN',
      'APPROVER_TOO_NEW',
      'APPROVAL_DECIDED',
      'APPROVAL_EXPIRED',
      'REARM_OUTDATED',
      'GATE_NOT_KILLED',
      'VERSION_NOT_QUARANTINED',
      'ROLLOUT_STATE',
      'BREAK_GLASS_REFUSED',
      'FLAGS_ELSEWHERE',
    ],
    run: ({ control, regionDatabases, installed, flagsAt }, { id, reason: why }, caller) =>
      decideRequest(
        rolloutSources(control, regionDatabases, installed()),
        (region) => regionDatabases.of(region).owner,
        () => regionDatabases.all().map(({ owner }) => owner),
        id,
        caller,
        decision,
        flagsAt,
        why,
      ),
  });

const ApprovalPage = pageSchema('ApprovalPage', Approval);

/** What waits for a second principal's decision, and the decision. */
export const approvalOperations = {
  listApprovals: operation({
    at: 'GET /api/v1/approvals',
    example: { state: 'pending' },
    summary: 'Requests for approval, newest first',
    action: 'read',
    query: z.strictObject({
      ...pageQuery,
      state: z.enum(APPROVAL_STATES).optional().describe('only in this state'),
    }),
    result: ApprovalPage,
    run: ({ control }, query) => listApprovals(control, query, query),
  }),
  approve: decision('approve', 'Approves a request of somebody else, and carries it out'),
  reject: decision('reject', 'Rejects a request, or cancels one that would approve itself'),
  approveAlone: operation({
    at: 'POST /api/v1/approvals/:id/alone',
    example: { id: 'APR-7K2M' },
    summary: 'Lets the caller’s own request approve itself after an hour, where nobody else may approve it',
    action: 'approve',
    reach: async ({ control }, { id }) => [(await findApproval(control, id)).region],
    params: z.strictObject({ id: approvalIdPath }),
    oneCommit: true,
    result: Approval,
    errors: [
      ...(['APPROVAL_UNKNOWN', 'APPROVAL_DECIDED', 'APPROVAL_EXPIRED'] as const),
      ...(['MACHINE_CANNOT_APPROVE', 'ALONE_REFUSED', 'NOTHING_REACHED'] as const),
    ],
    run: ({ control }, { id }, caller) => approveAloneAndTell(control, id, caller),
  }),
};
