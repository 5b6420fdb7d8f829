import nodeCron from 'node-cron';
import { z } from 'zod';
import { guardDocument } from './guard-document.js';
import { regionsDocument } from './policy-regions.js';
import { duration, name, onAnyArray, onAnyObject, whole } from './policy-values.js';
import { UNITS } from '../kernel/words.js';
import { rolloutDocument, waveFaults } from './rollout-document.js';

const apply = z
  .strictObject({
    lanes: whole(1, 32, 'How many batches of one run are written side by side.').default(4),
    batch: whole(1, 10_000, 'The most changes in one transaction.').default(500),
    firstBatches: z
      .array(whole(1, 10_000, 'Changes in a batch.'))
      .max(20)
      .refine((sizes) => sizes.every((size, at) => at === 0 || size >= (sizes[at - 1] ?? 0)), {
        message: 'must not shrink: the first batch is the smallest',
        ...onAnyArray,
      })
      .default([10, 20, 50, 100])
      .meta({
        description: 'Sizes of the first batches of a run, growing; every later one has `batch`.',
      }),
  })
  .refine(
    ({ batch, firstBatches }) =>
      typeof batch !== 'number' ||
      !Array.isArray(firstBatches) ||
      firstBatches.every((size) => !(size > batch)),
    { message: 'has a first batch that is larger than batch', path: ['firstBatches'], ...onAnyObject },
  );

const noun = (description: string) =>
  z
    .string()
    .regex(/^\p{L}[\p{L} -]{0,39}$/u, 'must be a noun of at most 40 letters')
    .meta({ description });

/** A policy as a person writes it: durations and percentages are text. Unknown keys are refused. */
export const policyDocument = z
  .strictObject({
    job: name('job').meta({ description: 'The job that this policy is about.' }),
    unit: z
      .strictObject({ one: noun('One of them: organisation.'), many: noun('Several: organisations.') })
      .default(UNITS)
      .meta({ description: "What people are told that the job's units are, such as organisations." }),
    schedule: z
      .string()
      .superRefine((pattern, context) => {
        for (const fault of nodeCron.validateDetailed(pattern).errors) {
          context.addIssue(`is not a cron schedule: ${fault.field}: ${fault.message}`);
        }
      })
      .meta({ description: 'When the job runs: a cron expression in UTC, such as */15 * * * *.' }),
    missedSlots: z.enum(['skip', 'once']).default('skip').meta({
      description: 'What becomes of slots missed while held or down: skip them, or run once to catch up.',
    }),
    onRearm: z.enum(['skip', 'once']).default('skip').meta({
      description: 'What becomes of slots missed while killed: skip them, or run once when it is re-armed.',
    }),
    regions: regionsDocument.meta({
      description:
        'The regions that have a flag and a gate for this job: a list, or a map where some have a database of their own.',
    }),
    flag: z
      .strictObject({ maxAge: duration(2_000, 3_600_000).default('60s') })
      .prefault({})
      .meta({ description: 'maxAge: a flag last heard of longer ago than this counts as closed.' }),
    permit: duration(5_000, 600_000).default('30s').meta({
      description: "A region's gate closes by itself when its permit is not renewed for so long.",
    }),
    lease: duration(2_000, 600_000).default('20s').meta({
      description: 'A run whose worker is silent for so long is taken over by another.',
    }),
    plan: z
      .strictObject({ maxAge: duration(1_000, 604_800_000).default('1h') })
      .prefault({})
      .meta({
        description:
          'maxAge: a run that is taken over with an older plan ends, what it applied stays, and a new run of the same version plans again.',
      }),
    apply: apply.prefault({}).meta({ description: 'How the changes of a run are written.' }),
    guard: guardDocument.prefault({}).meta({
      description: 'What runs are judged by: before their first write, while they write, and after.',
    }),
    rollout: rolloutDocument.optional().meta({
      description: 'By which waves and steps a new version is admitted. Without it none can be rolled out.',
    }),
  })
  .superRefine((document, context) => {
    for (const { path, message } of waveFaults(document)) {
      context.addIssue({ code: 'custom', path: [...path], message });
    }
  }, onAnyObject)
  .meta({ title: 'Portcullis policy of a job' });

export type PolicyDocument = z.infer<typeof policyDocument>;

/** The JSON schema of a policy file, for editors; `flags/policy.schema.json` is this, written down. */
export function policyJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(policyDocument, { io: 'input', target: 'draft-07' });
}
