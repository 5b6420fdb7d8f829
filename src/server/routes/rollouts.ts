import { z } from 'zod';
import type { Action } from '../../access/roles.js';
import { PortcullisError, type ErrorCode } from '../../kernel/errors.js';
import { unknownName } from '../../kernel/unknown-name.js';
import { rolloutElsewhere } from '../../flags/flags-elsewhere.js';
import { orderInitial, orderRollout } from '../../regions/order-rollout.js';
import { simulationOf } from '../../regions/simulation.js';
import { rolloutSources } from '../../regions/rollout-sources.js';
import { viewRollout, type RolloutView } from '../../rollout/rollout-view.js';
import { askToSkip } from '../../rollout/skip-bake.js';
import { abortRollout, pauseRollout, resumeRollout } from '../../rollout/steer.js';
import { approveWaiting } from '../../rollout/wave-approval.js';
import { requireUnderWay } from '../../rollout/start-rollout.js';
import type { HttpDeps } from '../deps.js';
import {
  InitialAdmission,
  InitialOrder,
  Rollout,
  RolloutOrder,
  Simulation,
  SkipOrder,
  Steering,
} from '../rollout-schemas.js';
import { callerOf, route, type Route } from '../route.js';
import { Approval } from '../record-schemas.js';
import { namePath } from '../schemas.js';

const params = z.strictObject({ job: namePath });

/** How a new version is admitted: by waves of regions, step by step, on evidence. */
export function rolloutRoutes({ control, planes, installed, flagsAt }: HttpDeps): Route[] {
  const view = async (job: string): Promise<RolloutView> => {
    const found = await viewRollout(rolloutSources(control, planes, installed(), flagsAt), job);
    if (found) return found;
    throw new PortcullisError('ROLLOUT_NONE', `${job} has had no rollout yet`);
  };
  const steering = (
    name: string,
    summary: string,
    action: Action,
    steer: typeof pauseRollout,
    errors: readonly ErrorCode[] = [],
  ): Route =>
    route({
      method: 'post',
      path: `/api/v1/rollouts/:job/${name}`,
      operationId: `${name}Rollout`,
      summary,
      action,
      params,
      body: Steering,
      result: Rollout,
      errors: ['ROLLOUT_NONE', 'ROLLOUT_STATE', 'FLAGS_ELSEWHERE', ...errors],
      handle: async ({ params: { job }, body: { reason }, caller }) => {
        await steer(control, { job, reason, flagsAt }, callerOf(caller));
        return view(job);
      },
    });
  return [
    route({
      method: 'get',
      path: '/api/v1/rollouts/:job',
      operationId: 'getRollout',
      summary: 'The rollout that is under way, or else the last, with what it waits for',
      action: 'read',
      params,
      result: Rollout,
      errors: ['ROLLOUT_NONE'],
      handle: ({ params: { job } }) => view(job),
    }),
    route({
      method: 'get',
      path: '/api/v1/rollouts/:job/simulation',
      operationId: 'simulateRollout',
      summary: 'The rollout on paper: when each step would start and end, and whom it exposes',
      action: 'read',
      params,
      result: Simulation,
      errors: ['JOB_UNKNOWN', 'POLICY_MISSING', 'POLICY_INVALID', 'ROLLOUT_UNPLANNED'],
      handle: async ({ params: { job } }) => {
        const jobs = installed();
        const loaded = jobs.find(({ definition }) => definition.name === job);
        if (!loaded)
          throw unknownName(
            'JOB_UNKNOWN',
            'job',
            job,
            jobs.map(({ definition }) => definition.name),
          );
        const simulation = await simulationOf(control, planes, loaded);
        return {
          ...simulation,
          ends: simulation.ends?.toISOString() ?? null,
          steps: simulation.steps.map((step) => ({
            ...step,
            starts: step.starts.toISOString(),
            ends: step.ends?.toISOString() ?? null,
          })),
        };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/rollouts/:job/start',
      operationId: 'startRollout',
      summary: 'Starts a rollout by the waves of the policy as it is now',
      action: 'set-flag',
      params,
      body: RolloutOrder,
      result: Rollout,
      errors: [
        'POLICY_MISSING',
        'POLICY_INVALID',
        'VERSION_UNKNOWN',
        'ROLLOUT_UNPLANNED',
        'ROLLOUT_ACTIVE',
        'ROLLOUT_REFUSED',
        'FLAGS_ELSEWHERE',
      ],
      handle: async ({ params: { job }, body, caller }) => {
        await orderRollout(control, planes, installed(), { job, ...body, flagsAt }, callerOf(caller));
        return view(job);
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/rollouts/:job/initial',
      operationId: 'admitInitially',
      summary:
        'Admits the first version of a job at once, in regions where none was ever admitted; gives no share',
      action: 'set-flag',
      // Those named, or those of the policy.
      regionOf: 'handler',
      params,
      body: InitialOrder,
      result: InitialAdmission,
      errors: [
        'POLICY_MISSING',
        'POLICY_INVALID',
        'REGION_UNKNOWN',
        'VERSION_UNKNOWN',
        'ROLLOUT_REFUSED',
        'INITIAL_DONE',
      ],
      handle: ({ params: { job }, body, caller }) =>
        orderInitial(control, planes, installed(), { job, ...body }, callerOf(caller)),
    }),
    steering('pause', 'Keeps every share as it is until somebody resumes', 'kill', pauseRollout),
    steering('resume', 'Goes on; shares changed by hand are set again', 'set-flag', resumeRollout, [
      'POLICY_MISSING',
      'POLICY_INVALID',
    ]),
    steering('abort', 'Rolls the version back to zero everywhere, at once', 'kill', abortRollout),
    route({
      method: 'post',
      path: '/api/v1/rollouts/:job/promote',
      operationId: 'promoteRollout',
      summary: 'Asks to skip the rest of the bakes under way; another person decides',
      action: 'skip-bake',
      params,
      body: SkipOrder,
      regionOf: ({ body }) => body.region,
      result: Approval,
      errors: ['ROLLOUT_NONE', 'ROLLOUT_STATE', 'FLAGS_ELSEWHERE'],
      handle: ({ params: { job }, body, caller }) =>
        askToSkip(
          rolloutSources(control, planes, installed(), flagsAt),
          { job, ...body, flagsAt },
          callerOf(caller),
        ),
    }),
    route({
      method: 'post',
      path: '/api/v1/rollouts/:job/approve',
      operationId: 'approveWave',
      summary: 'Approves the wave that waits for a second principal, on the evidence shown',
      action: 'approve',
      // The wave's, where it has one alone.
      regionOf: 'handler',
      params,
      result: Approval,
      errors: [
        'ROLLOUT_NONE',
        'ROLLOUT_STATE',
        'APPROVAL_SELF',
        'MACHINE_CANNOT_APPROVE',
        'APPROVER_UNPROVEN',
        'APPROVER_TOO_NEW',
        'APPROVAL_DECIDED',
        'APPROVAL_EXPIRED',
        'FLAGS_ELSEWHERE',
      ],
      handle: async ({ params: { job }, caller }) => {
        if (flagsAt !== undefined) throw rolloutElsewhere(flagsAt);
        return approveWaiting(control, await requireUnderWay(control, job), callerOf(caller));
      },
    }),
  ];
}
