import nodeCron from 'node-cron';
import { z } from 'zod';
import { formatDurationMs, parseDurationMs } from '../base/duration.js';

/** Names of jobs and regions. They have no dot, for `job.region` names a flag. */
export const NAME = /^[a-z][a-z0-9-]{0,62}$/;

const name = (what: string) =>
  z
    .string()
    .regex(
      NAME,
      `is not the name of a ${what}: small letters, digits and hyphens, at most 63, a letter first`,
    );

const duration = (minimumMs: number, maximumMs: number) => {
  const bounds = `from ${formatDurationMs(minimumMs)} to ${formatDurationMs(maximumMs)}`;
  return z
    .string({
      error: ({ input }) => (input === undefined ? 'is missing' : `is not a duration such as "30s"`),
    })
    .regex(/^\d{1,9}(ms|s|m|h|d)$/, 'is not a duration such as 30s, 10m or 24h')
    .refine((text) => {
      const ms = parseDurationMs(text);
      return ms === undefined || (ms >= minimumMs && ms <= maximumMs);
    }, `must be ${bounds}`)
    .meta({ description: `A duration such as 30s or 10m, ${bounds}.` });
};

const whole = (minimum: number, maximum: number, description: string) =>
  z.int().min(minimum).max(maximum).meta({ description });

const percentage = z
  .string({ error: () => `is not a percentage such as "5%" or "0.1%"` })
  .regex(/^(100(\.0)?|\d{1,2}(\.\d)?)%$/, 'is not a percentage from 0% to 100% in steps of 0.1%');

const distinct = <T>(items: readonly T[], keyOf: (item: T) => unknown): boolean =>
  new Set(items.map(keyOf)).size === items.length;

/**
 * Checks over several values run even where one of the values has a fault of its own, so that all the
 * faults of a file come out at once.
 */
const onAnyArray = { when: ({ value }: { value: unknown }) => Array.isArray(value) };
const onAnyObject = { when: ({ value }: { value: unknown }) => typeof value === 'object' && value !== null };

const cap = z
  .strictObject({
    kind: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/, 'is not a kind of change, such as claim')
      .meta({ description: 'The kind of change that is counted, from the words of the job.' }),
    perRun: whole(0, 10_000_000, 'The most changes of this kind in one run.').optional(),
    perUnit: whole(
      0,
      10_000_000,
      'The most changes of this kind for one organisation in one run.',
    ).optional(),
    shareOfRegion: percentage
      .meta({ description: "The largest share of the region's rows that one run may change, such as 5%." })
      .optional(),
  })
  .refine(
    (each) => each.perRun !== undefined || each.perUnit !== undefined || each.shareOfRegion !== undefined,
    {
      message: 'limits nothing: give it perRun, perUnit or shareOfRegion',
      ...onAnyObject,
    },
  )
  .meta({ description: 'How much of one kind of change a run may plan. A plan over a cap applies nothing.' });

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

/** A policy as a person writes it: durations and percentages are text. Unknown keys are refused. */
export const policyDocument = z
  .strictObject({
    job: name('job').meta({ description: 'The job that this policy is about.' }),
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
    regions: z
      .array(name('region'))
      .min(1)
      .max(100)
      .refine((regions) => distinct(regions, (region) => region), {
        message: 'names a region twice',
        ...onAnyArray,
      })
      .meta({ description: 'The regions that have a flag and a gate for this job.' }),
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
    apply: apply.prefault({}).meta({ description: 'How the changes of a run are written.' }),
    guard: z
      .strictObject({
        caps: z
          .array(cap)
          .max(100)
          .refine((caps) => distinct(caps, (each) => (each as { kind?: unknown } | null)?.kind), {
            message: 'has two caps for one kind: put their limits into one',
            ...onAnyArray,
          })
          .default([]),
      })
      .prefault({})
      .meta({ description: 'What a plan is judged by before its first write.' }),
  })
  .meta({ title: 'Portcullis policy of a job' });

export type PolicyDocument = z.infer<typeof policyDocument>;

/** The JSON schema of a policy file, for editors; `flags/policy.schema.json` is this, written down. */
export function policyJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(policyDocument, { io: 'input', target: 'draft-07' });
}
