import { z } from 'zod';
import { BreakGlass } from './record-schemas.js';
import { APPROVAL_STATES } from '../access/approvals.js';
import { ROLLOUT_STATES, type RolloutStatus } from '../rollout/rollout-states.js';
import { count, named, pageSchema, reason, time, UnitLabel, word } from '../kernel/schema.js';

const statuses = Object.keys(ROLLOUT_STATES) as [RolloutStatus, ...RolloutStatus[]];
const ms = z.number().min(0).describe('milliseconds');

const Part = named(
  'RolloutPart',
  z.strictObject({
    region: z.string(),
    state: z.enum(['waiting', 'baking', 'held', 'ready', 'done']).nullable().describe('null once it is over'),
    reason: z.string(),
    blockers: z.array(z.string()).readonly().describe('what keeps a step from going on, each in a few words'),
    earliest: time.nullable().describe('when it can move, where time and the schedule alone decide that'),
    permille: count.describe('the share that the rollout has given, in thousandths'),
    step: count.describe('from 1; 0 before the first'),
    steps: count,
    since: time.nullable(),
    bake: z
      .strictObject({
        runs: count,
        runsNeeded: count,
        changes: count,
        changesNeeded: count,
        elapsedMs: ms,
        elapsedNeededMs: ms,
      })
      .nullable()
      .describe('null where nothing bakes'),
    skipped: z
      .array(
        z.strictObject({
          permille: count,
          by: z.string(),
          approvedBy: z.string().nullable().describe('null: nobody had to agree, in a release before'),
          reason: z.string(),
        }),
      )
      .readonly()
      .describe(
        'steps that it left without their bake, which nobody checked, by the share of the step in thousandths',
      ),
    verdicts: z
      .array(
        z.strictObject({
          rule: z.string(),
          verdict: z.enum(['pass', 'fail', 'too-few', 'no-data', 'unreachable']),
          reason: z.string(),
        }),
      )
      .readonly(),
    units: count.nullable().describe('of the region; null where that cannot be told'),
    waiting: count.nullable().describe('about how many of them have a version that no worker can run'),
    withoutWorker: z.array(z.string()).readonly().describe('versions with a share that no worker can run'),
  }),
);

export const Rollout = named(
  'Rollout',
  z.strictObject({
    id: z.guid(),
    job: z.string(),
    version: z.string(),
    revision: count.describe('another number after each change of any rollout of the job; see ifRevision'),
    unitLabel: UnitLabel,
    status: z.enum(statuses),
    reason: z.string(),
    startedBy: z.string(),
    startedAt: time,
    endedAt: time.nullable(),
    endedBy: z.string().nullable(),
    endReason: z.string().nullable(),
    incident: z
      .string()
      .nullable()
      .describe(
        'the newest incident of the version since it began, or one still open: see /api/v1/incidents',
      ),
    next: z
      .strictObject({
        action: z.enum(['advance', 'wait', 'hold', 'abort']),
        reason: z.string(),
        blockers: z.array(z.string()).readonly().describe('what keeps it from moving, each in a few words'),
        earliest: time.nullable().describe('when it can move, where time and the schedule alone decide that'),
      })
      .nullable()
      .describe('what it does next and why; null once it is over'),
    policyChanged: z.boolean().describe('whether the policy’s waves have changed since this rollout began'),
    breakGlass: z
      .array(BreakGlass)
      .readonly()
      .describe('the break-glass that the version ever had, newest first'),
    skip: z
      .strictObject({
        request: z.string(),
        state: z.enum(APPROVAL_STATES),
        requestedBy: z.string(),
        reason: z.string(),
        expiresAt: time,
        bakes: z.array(z.strictObject({ region: z.string(), permille: count })).readonly(),
        decidedBy: z.string().nullable(),
        lapsedReason: z.string().nullable().describe('why it does not count any more'),
      })
      .nullable()
      .describe('the newest request to skip a bake that is under way'),
    waves: z
      .array(
        z.strictObject({
          name: z.string(),
          approvals: count.describe('how many others must agree before it begins'),
          approval: z
            .strictObject({
              request: z.string(),
              state: z.enum(APPROVAL_STATES),
              decidedBy: z.string().nullable(),
              introducedBy: z.string().nullable().describe('who introduced the person who approved'),
              caution: z.string().nullable().describe('what speaks against there having been two people'),
              lapsedReason: z.string().nullable().describe('why it does not count any more'),
              againBecause: z
                .string()
                .nullable()
                .describe('why the previous request no longer counts, so that a new one was made'),
            })
            .nullable(),
          regions: z.array(Part).readonly(),
        }),
      )
      .readonly(),
    events: z
      .array(z.strictObject({ at: time, action: z.string(), by: z.string(), reason: z.string() }))
      .readonly()
      .describe('what happened last, newest first'),
  }),
);

export const RolloutPage = pageSchema('RolloutPage', Rollout);

export const RolloutOrder = named(
  'RolloutOrder',
  z.strictObject({
    version: word.describe(
      'the full version, its number, a unique prefix of its digest, or `installed`: the one that this process has',
    ),
    reason: reason.describe('for whoever approves it and reads the history'),
  }),
);
export const InitialOrder = named(
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
export const InitialAdmission = named(
  'InitialAdmission',
  z.strictObject({ job: z.string(), version: z.string(), regions: z.array(z.string()).readonly() }),
);
const ifRevision = count.optional().describe('refuse if the rollout has changed since this revision of it');

export const Steering = named(
  'RolloutSteering',
  z.strictObject({ reason: reason.describe('for the record'), ifRevision }),
);

export const WaveApproval = named('RolloutWaveApproval', z.strictObject({ ifRevision }));

export const SkipOrder = named(
  'RolloutSkipOrder',
  z.strictObject({
    region: word.optional().describe('only the bake of this region; absent: of every region that bakes'),
    reason: reason.describe('for whoever decides it, and for the record'),
    ifRevision,
  }),
);

export const Simulation = named(
  'RolloutSimulation',
  z.strictObject({
    steps: z
      .array(
        z.strictObject({
          wave: z.string(),
          region: z.string(),
          permille: count,
          starts: time,
          ends: time.nullable().describe('null: never, since too little is changed'),
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
    ends: time.nullable(),
    approvals: z
      .array(z.string())
      .readonly()
      .describe('waves that wait for people, whose time is not counted'),
  }),
);
