import { z } from 'zod';
import { CHANGE_STATES } from '../journal/browse-changes.js';
import { RUN_STATES, type RunStatus } from '../runs/run-states.js';
import {
  count,
  durationMs,
  Image,
  named,
  pageSchema,
  regionsPageShape,
  time,
  word,
} from '../kernel/schema.js';

export const runStatuses = Object.keys(RUN_STATES) as [RunStatus, ...RunStatus[]];

const KindCounts = named('KindCounts', z.record(z.string(), count).describe('counts by kind of change'));

export const Run = named(
  'Run',
  z.strictObject({
    runId: z.guid(),
    job: z.string(),
    version: z.string(),
    region: z.string(),
    slot: time,
    trigger: z.enum(['schedule', 'catch-up', 'manual', 'restore']),
    restores: z.guid().nullable().describe('the run whose changes this one restores'),
    dryRun: z.boolean(),
    status: z.enum(runStatuses),
    reasonCode: z.string(),
    reason: z.string(),
    planned: KindCounts,
    applied: KindCounts,
    conflicts: count,
    attempt: z.int().min(1),
    worker: z.string(),
    admittedUnits: count.nullable(),
    askedPermille: count.nullable().describe('thousandths that the flag asked for'),
    admittedPermille: count.nullable().describe('thousandths that the version was admitted to, of these'),
    breakGlass: z
      .string()
      .nullable()
      .describe('the break-glass without which the version would have had less; null: none'),
    createdAt: time,
    plannedAt: time.nullable(),
    finishedAt: time.nullable(),
    durationMs: durationMs.nullable(),
  }),
);

export const RunVerdicts = named(
  'RunVerdicts',
  z.strictObject({
    verdicts: z
      .array(
        z.strictObject({
          stage: z.enum(['plan', 'apply', 'bake']),
          rule: z.string(),
          verdict: z.enum(['pass', 'fail', 'too-few', 'no-data', 'unreachable']),
          reason: z.string().describe('in words, with the figures'),
          figures: Image.describe('what it was said on'),
          evidence: z
            .array(z.record(z.string(), z.unknown()))
            .readonly()
            .describe('the first rows that broke an invariant'),
          at: time,
        }),
      )
      .readonly(),
  }),
);

export const Change = named(
  'Change',
  z.strictObject({
    lane: count,
    seq: count,
    resource: z.string(),
    key: z.string(),
    kind: z.string(),
    unit: z.string(),
    before: Image.nullable().describe('null: the change inserts the row'),
    after: Image.nullable().describe('null: the change deletes the row'),
    evidence: z.record(z.string(), z.unknown()),
    state: z.enum(CHANGE_STATES),
    appliedAt: time.nullable(),
    found: Image.nullable().describe('for a conflict, the row as it was found'),
    refusal: z.string().nullable().describe('for a conflict with a constraint, what it said'),
  }),
);

export const RunLanes = named(
  'RunLanes',
  z.strictObject({
    lanes: z
      .array(
        z.strictObject({
          lane: count,
          changes: count,
          passed: count.describe('those that its cursor has passed; conflicts are among them'),
          conflicts: count,
          batches: count,
          firstAppliedAt: time.nullable(),
          lastAppliedAt: time.nullable(),
        }),
      )
      .readonly(),
  }),
);

export const RunPage = named(
  'RunPage',
  z.strictObject({
    ...regionsPageShape(Run),
    hidden: count.describe(
      'held runs that hideHeld left out, of those that are as new as the oldest run here; at most 10000 are counted in a database',
    ),
  }),
);
export const ChangePage = pageSchema('ChangePage', Change);

export const runIdPath = z
  .string()
  .min(1)
  .max(64)
  .describe("a run's id, or the first 4 or more digits of one");

export const statusQuery = z.enum(runStatuses).optional().describe('only in this status');
export const kindQuery = word.optional().describe('only of this kind');
