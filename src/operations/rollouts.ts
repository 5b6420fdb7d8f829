import { z } from 'zod';
import { findApproval, Approval } from '../access/approvals.js';
import type { Action } from '../access/roles.js';
import { PortcullisError, type ErrorCode } from '../kernel/errors.js';
import { unknownName } from '../kernel/unknown-name.js';
import { gatesOf } from '../containment/gates-of.js';
import { rolloutElsewhere } from '../flags/flags-elsewhere.js';
import { loadPolicy } from '../flags/policy-store.js';
import { orderInitial, orderRollout } from '../regions/order-rollout.js';
import { simulationOf } from '../regions/simulation.js';
import { rolloutSources } from '../regions/rollout-sources.js';
import { viewRollout, RolloutView } from '../rollout/rollout-view.js';
import { pageOfList } from '../postgres/page.js';
import { jobsRolledOut, requireRolloutSeen, rolloutsUnderWay } from '../rollout/rollout-store.js';
import { askToSkip } from '../rollout/skip-bake.js';
import { abortRollout, pauseRollout, resumeRollout } from '../rollout/steer.js';
import { approveWaiting, waitingWave } from '../rollout/wave-approval.js';
import { requireUnderWay } from '../rollout/start-rollout.js';
import type { OperationContext } from './context.js';
import { operation, SENT_OR_EVERYWHERE, sentOr } from './operation.js';
import { namePath, pageQuery } from './schemas.js';
import { count, named, pageSchema, reason, isoTime, UnitLabel, word } from '../kernel/schema.js';

const RolloutPage = pageSchema('RolloutPage', RolloutView);

const RolloutOrder = named(
  'RolloutOrder',
  z.strictObject({
    version: word.describe(
      'the full version, its number, a unique prefix of its digest, or `installed`: the one that this process has',
    ),
    reason: reason.describe('for whoever approves it and reads the history'),
  }),
);

const InitialOrder = named(
  'InitialOrder',
  z.strictObject({
    ...RolloutOrder.shape,
    regions: z
      .array(word)
      .min(1)
      .max(1000)
      .optional()
      .describe('only these; absent: every region of the policy in which no version was ever admitted'),
  }),
);

const InitialAdmission = named(
  'InitialAdmission',
  z.strictObject({ job: z.string(), version: z.string(), regions: z.array(z.string()).readonly() }),
);

const ifRevision = count.optional().describe('refuse if the rollout has changed since this revision of it');

const Steering = named(
  'RolloutSteering',
  z.strictObject({ reason: reason.describe('for the record'), ifRevision }),
);

const WaveApproval = named('RolloutWaveApproval', z.strictObject({ ifRevision }));

const SkipOrder = named(
  'RolloutSkipOrder',
  z.strictObject({
    region: word.optional().describe('only the bake of this region; absent: of every region that bakes'),
    reason: reason.describe('for whoever decides it, and for the record'),
    ifRevision,
  }),
);

const Simulation = named(
  'RolloutSimulation',
  z.strictObject({
    unitLabel: UnitLabel,
    steps: z
      .array(
        z.strictObject({
          wave: z.string(),
          region: z.string(),
          permille: count,
          starts: isoTime.nullable().describe('null: never, since a step before it never ends'),
          ends: isoTime.nullable().describe('null: never, since too little is changed'),
          runs: count.nullable(),
          units: count.describe('that the version has from then on'),
          rows: z.record(z.string(), count).describe('about how many rows of each resource are theirs'),
          mostPerRun: z
            .record(z.string(), count.nullable())
            .describe('the most changes of each kind that pass the caps; null: no cap limits it'),
          outcomes: z
            .array(
              z.strictObject({
                rule: z.string(),
                factor: z.number().describe('how many times as bad the version is supposed to be'),
                finds: z
                  .enum(['found', 'missed', 'nothing'])
                  .describe('nothing: no fault, however bad, with so few units'),
                events: z.number().nullable().describe('units with a first bad outcome until it is found'),
                days: z.number().nullable().describe('null: not found, or the base rate is not known'),
              }),
            )
            .readonly()
            .describe('what each outcome rule can find in this step, at best'),
        }),
      )
      .readonly(),
    rules: z
      .array(
        z.strictObject({
          rule: z.string(),
          kind: z.enum(['cap', 'invariant', 'count', 'rate', 'outcome', 'promql', 'alert', 'absence']),
          most: count.nullable().describe('changes before it stops a version; null: what the caps let pass'),
          why: z.string(),
        }),
      )
      .readonly(),
    ends: isoTime.nullable(),
    approvals: z
      .array(z.string())
      .readonly()
      .describe('waves that wait for people, whose time is not counted'),
  }),
);

const params = z.strictObject({ job: namePath });

const steering = <Name extends 'pause' | 'resume' | 'abort'>(
  name: Name,
  summary: string,
  action: Action,
  steer: typeof pauseRollout,
  errors: readonly ErrorCode[] = [],
) =>
  operation({
    at: `POST /api/v1/rollouts/:job/${name}`,
    example: { job: 'dormant-cleanup', reason: 'waits for the release of the shop' },
    summary,
    action,
    params,
    body: Steering,
    oneCommit: true,
    result: RolloutView,
    errors: ['ROLLOUT_NONE', 'ROLLOUT_STATE', 'REVISION_STALE', 'FLAGS_ELSEWHERE', ...errors],
    run: async (context, { job, ...order }, caller) => {
      const { control, flagsAt } = context;
      await steer(control, { job, ...order, flagsAt }, caller);
      return view(context, job);
    },
  });

/** How a new version is admitted: by waves of regions, step by step, on evidence. */
export const rolloutOperations = {
  listRollouts: operation({
    at: 'GET /api/v1/rollouts',
    example: {},
    summary: "Every job's rollout that is under way, or else its last, by job",
    action: 'read',
    query: z.strictObject({ ...pageQuery }),
    result: RolloutPage,
    run: async ({ control, regionDatabases, installed, flagsAt }, page) => {
      const { items: jobs, next } = pageOfList(await jobsRolledOut(control), page, (job) => [job]);
      const sources = rolloutSources(control, regionDatabases, installed(), flagsAt);
      const items = [];
      for (const job of jobs) {
        const found = await viewRollout(sources, job);
        if (found) items.push(found);
      }
      return { items, next };
    },
  }),
  getRollout: operation({
    at: 'GET /api/v1/rollouts/:job',
    example: { job: 'dormant-cleanup' },
    summary: 'The rollout that is under way, or else the last, with what it waits for',
    action: 'read',
    params,
    result: RolloutView,
    errors: ['ROLLOUT_NONE'],
    run: (context, { job }) => view(context, job),
  }),
  simulateRollout: operation({
    at: 'GET /api/v1/rollouts/:job/simulation',
    example: { job: 'dormant-cleanup' },
    summary: 'The rollout on paper: when each step would start and end, and whom it exposes',
    action: 'read',
    params,
    result: Simulation,
    errors: ['JOB_UNKNOWN', 'POLICY_MISSING', 'POLICY_INVALID', 'ROLLOUT_UNPLANNED'],
    run: async ({ control, regionDatabases, installed }, { job }) => {
      const jobs = installed();
      const loaded = jobs.find(({ definition }) => definition.name === job);
      if (!loaded)
        throw unknownName(
          'JOB_UNKNOWN',
          'job',
          job,
          jobs.map(({ definition }) => definition.name),
        );
      const simulation = await simulationOf(control, regionDatabases, loaded);
      return {
        ...simulation,
        ends: simulation.ends?.toISOString() ?? null,
        steps: simulation.steps.map((step) => ({
          ...step,
          starts: step.starts?.toISOString() ?? null,
          ends: step.ends?.toISOString() ?? null,
        })),
      };
    },
  }),
  startRollout: operation({
    at: 'POST /api/v1/rollouts/:job/start',
    example: { job: 'dormant-cleanup', version: 'current', reason: 'release 1.2' },
    summary: 'Starts a rollout by the waves of the policy as it is now',
    action: 'start-rollout',
    params,
    body: RolloutOrder,
    oneCommit: true,
    result: RolloutView,
    errors: [
      'POLICY_MISSING',
      'POLICY_INVALID',
      'VERSION_UNKNOWN',
      'ROLLOUT_UNPLANNED',
      'ROLLOUT_ACTIVE',
      'ROLLOUT_REFUSED',
      'FLAGS_ELSEWHERE',
    ],
    run: async (context, { job, ...body }, caller) => {
      const { control, regionDatabases, flagsAt, installed } = context;
      await orderRollout(control, regionDatabases, installed(), { job, ...body, flagsAt }, caller);
      return view(context, job);
    },
  }),
  admitInitially: operation({
    at: 'POST /api/v1/rollouts/:job/initial',
    example: { job: 'dormant-cleanup', version: 'current', reason: 'the first version' },
    summary:
      'Admits the first version of a job at once, in regions where none was ever admitted; gives no share',
    action: 'set-flag',
    reach: sentOr(async ({ control }, { job }) => {
      const loaded = await loadPolicy(control, job);
      return loaded.ok ? loaded.policy.regions : [null];
    }),
    params,
    body: InitialOrder,
    oneCommit: true,
    result: InitialAdmission,
    errors: [
      'POLICY_MISSING',
      'POLICY_INVALID',
      'REGION_UNKNOWN',
      'VERSION_UNKNOWN',
      'ROLLOUT_REFUSED',
      'INITIAL_DONE',
    ],
    run: ({ control, regionDatabases, installed }, { job, ...body }, caller) =>
      orderInitial(control, regionDatabases, installed(), { job, ...body }, caller),
  }),
  pauseRollout: steering('pause', 'Keeps every share as it is until somebody resumes', 'kill', pauseRollout),
  resumeRollout: steering(
    'resume',
    'Goes on; shares changed by hand are set again',
    'set-flag',
    resumeRollout,
    ['POLICY_MISSING', 'POLICY_INVALID'],
  ),
  abortRollout: steering('abort', 'Rolls the version back to zero everywhere, at once', 'kill', abortRollout),
  promoteRollout: operation({
    at: 'POST /api/v1/rollouts/:job/promote',
    example: { job: 'dormant-cleanup', region: 'eu-west-1', reason: 'the fix cannot wait' },
    summary: 'Asks to skip the rest of the bakes under way; another person decides',
    action: 'skip-bake',
    params,
    body: SkipOrder,
    reach: SENT_OR_EVERYWHERE,
    oneCommit: true,
    result: Approval,
    errors: ['ROLLOUT_NONE', 'ROLLOUT_STATE', 'REVISION_STALE', 'FLAGS_ELSEWHERE'],
    run: ({ control, regionDatabases, flagsAt, installed }, { job, ...body }, caller) =>
      askToSkip(
        rolloutSources(control, regionDatabases, installed(), flagsAt),
        { job, ...body, flagsAt },
        caller,
      ),
  }),
  approveWave: operation({
    at: 'POST /api/v1/rollouts/:job/approve',
    example: { job: 'dormant-cleanup' },
    summary: 'Approves the wave that waits for a second principal, on the evidence shown',
    action: 'approve',
    reach: async ({ control }, { job }) => {
      const [under] = await rolloutsUnderWay(control, job);
      const waiting = under === undefined ? undefined : await waitingWave(control, under);
      if (waiting !== undefined) return [(await findApproval(control, waiting.request)).region];
      return (await gatesOf(control)).get(job) ?? [null];
    },
    params,
    body: WaveApproval,
    oneCommit: true,
    result: Approval,
    errors: [
      'ROLLOUT_NONE',
      'ROLLOUT_STATE',
      'REVISION_STALE',
      'APPROVAL_SELF',
      'MACHINE_CANNOT_APPROVE',
      'APPROVER_UNPROVEN',
      'APPROVER_TOO_NEW',
      'APPROVAL_DECIDED',
      'APPROVAL_EXPIRED',
      'FLAGS_ELSEWHERE',
    ],
    run: async ({ control, flagsAt }, { job, ifRevision }, caller) => {
      if (flagsAt !== undefined) throw rolloutElsewhere(flagsAt);
      await requireRolloutSeen(control, job, ifRevision);
      return approveWaiting(control, await requireUnderWay(control, job), caller);
    },
  }),
};

async function view(
  { control, regionDatabases, installed, flagsAt }: OperationContext,
  job: string,
): Promise<RolloutView> {
  const found = await viewRollout(rolloutSources(control, regionDatabases, installed(), flagsAt), job);
  if (found) return found;
  throw new PortcullisError('ROLLOUT_NONE', `${job} has had no rollout yet`);
}
