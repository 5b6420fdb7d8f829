import { z } from 'zod';
import { APPROVAL_STATES, findApproval, listApprovals, type Decision } from '../../access/approvals.js';
import { approveAloneAndTell } from '../../notify/tell-alone.js';
import { decideRequest } from '../../rollout/decide-request.js';
import type { HttpDeps } from '../deps.js';
import { callerOf, route, type Route } from '../route.js';
import { Approval, ApprovalPage, approvalIdPath } from '../record-schemas.js';
import { pageQuery } from '../schemas.js';

/** What waits for a second principal's decision, and the decision. */
export function approvalRoutes({ control, planes, flagsAt }: HttpDeps): Route[] {
  const decision = (decision: Decision, operationId: string, summary: string): Route =>
    route({
      method: 'post',
      path: `/api/v1/approvals/:id/${decision}`,
      operationId,
      summary,
      // Anybody may reject, and so cancel, what would approve itself. The region is the one that was asked for.
      action: decision === 'approve' ? 'approve' : 'cancel',
      regionOf: 'handler',
      reach: async ({ id }) => [(await findApproval(control, id)).region],
      params: z.strictObject({ id: approvalIdPath }),
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
        'FLAGS_ELSEWHERE',
      ],
      handle: ({ params: { id }, caller }) =>
        decideRequest(
          control,
          (region) => planes.of(region).owner,
          () => planes.all().map(({ owner }) => owner),
          id,
          callerOf(caller),
          decision,
          flagsAt,
        ),
    });
  return [
    route({
      method: 'get',
      path: '/api/v1/approvals',
      operationId: 'listApprovals',
      summary: 'Requests for approval, newest first',
      action: 'read',
      query: z.strictObject({
        ...pageQuery,
        state: z.enum(APPROVAL_STATES).optional().describe('only in this state'),
      }),
      result: ApprovalPage,
      handle: ({ query }) => listApprovals(control, query, query),
    }),
    decision('approve', 'approve', 'Approves a request of somebody else, and carries it out'),
    decision('reject', 'reject', 'Rejects a request, or cancels one that would approve itself'),
    route({
      method: 'post',
      path: '/api/v1/approvals/:id/alone',
      operationId: 'approveAlone',
      summary: 'Lets the caller’s own request approve itself after an hour, where nobody else may approve it',
      action: 'approve',
      regionOf: 'handler',
      reach: async ({ id }) => [(await findApproval(control, id)).region],
      params: z.strictObject({ id: approvalIdPath }),
      result: Approval,
      errors: [
        ...(['APPROVAL_UNKNOWN', 'APPROVAL_DECIDED', 'APPROVAL_EXPIRED'] as const),
        ...(['MACHINE_CANNOT_APPROVE', 'ALONE_REFUSED', 'NOTHING_REACHED'] as const),
      ],
      handle: ({ params: { id }, caller }) => approveAloneAndTell(control, id, callerOf(caller)),
    }),
  ];
}
