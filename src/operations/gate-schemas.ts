import { z } from 'zod';
import { GATE_STATES } from '../gate/browse-gates.js';
import {
  count,
  durationMs,
  named,
  pageSchema,
  pageShape,
  regionsPageSchema,
  reason,
  time,
  word,
} from '../kernel/schema.js';

export const Variant = named(
  'Variant',
  z.strictObject({
    version: z.string().describe('semantic version and digest, such as 1.0.0_9f3c2a1b'),
    permille: z.int().min(1).max(1000).describe('share of the units, in thousandths'),
    rule: z.string().optional().describe('a fingerprint of what decides besides the shares'),
  }),
);

const Job = named(
  'Job',
  z.strictObject({
    name: z.string(),
    version: z.string().describe('semantic version and digest of the code that this process has'),
    schedule: z.string().nullable().describe('cron, in UTC; null where no policy schedules it'),
    regions: z.array(z.string()).readonly(),
    kinds: z.array(z.string()).readonly().describe('kinds of change that it may propose'),
  }),
);

const breakGlass = z
  .array(
    z.strictObject({
      version: z.string(),
      id: z.string(),
      permille: count.describe('thousandths that it admits the version to'),
      admitted: count.describe('thousandths that the version is admitted to without it'),
      until: time,
    }),
  )
  .readonly();

export const Gate = named(
  'Gate',
  z.strictObject({
    job: z.string(),
    region: z.string(),
    state: z.enum(GATE_STATES),
    permits: z.boolean().describe('whether a batch could pass now: open, with a permit that has not expired'),
    permitUntil: time.nullable(),
    permitRemainingMs: durationMs,
    epoch: z.int(),
    flagRevision: count,
    variants: z.array(Variant).readonly(),
    reasonCode: z.string(),
    reason: z.string(),
    changedAt: time,
    killedBy: z.string().nullable().describe('null where it is not killed'),
    killedAt: time.nullable(),
    stopped: z.boolean().describe('whether restores are stopped too'),
    quarantined: z
      .array(z.strictObject({ version: z.string(), reason: z.string(), by: z.string(), at: time }))
      .readonly()
      .describe('versions of the job that may act nowhere'),
  }),
);

export const Flag = z.strictObject({
  name: z.string().describe('job.region'),
  job: z.string(),
  region: z.string(),
  enabled: z.boolean(),
  variants: z.array(Variant).readonly().describe('in order of their buckets, candidate first'),
  revision: count,
  admitted: z
    .array(z.strictObject({ version: z.string(), permille: count }))
    .readonly()
    .describe('the versions that may act here, each for at most so much, whatever the shares say'),
  beyond: z
    .array(
      z.strictObject({
        version: z.string(),
        asked: count.describe('thousandths that the flag gives'),
        admitted: count.describe('thousandths that the version is admitted to'),
        reason: z.string(),
      }),
    )
    .readonly()
    .describe('shares beyond what their versions are admitted to: what is beyond is closed'),
  breakGlass: breakGlass.describe('break-glass that counts now'),
  reason: z.string().nullable().describe('null where the source does not say'),
  changedBy: z.string().nullable().describe('null where the source does not say'),
  changedAt: time.nullable().describe('null where the source does not say'),
  malformed: z.string().optional().describe('what is wrong with the flag as stored; such a flag is closed'),
});

export const FlagSet = named(
  'FlagSet',
  z.strictObject({
    ...Flag.shape,
    before: z
      .strictObject({ enabled: z.boolean(), variants: Flag.shape.variants, revision: count })
      .describe('what the flag was before'),
  }),
);

/** What this process would answer a gate now, which a stale source closes whatever the flag's state is. */
const FlagWithAnswer = named(
  'FlagWithAnswer',
  z.strictObject({
    ...Flag.shape,
    open: z.boolean().describe('whether this process would let any version act now'),
    closedCode: z.string().nullable().describe('why not'),
    closedReason: z.string().nullable(),
  }),
);

export const FlagChange = named(
  'FlagChange',
  z
    .strictObject({
      enabled: z.boolean().optional(),
      variants: z.array(z.strictObject({ version: word, permille: z.int().min(1).max(1000) })).optional(),
      reason: reason.describe('for the record'),
      ifRevision: z.int().min(0).optional().describe('refuse if the flag has changed since this revision'),
    })
    .refine((change) => change.enabled !== undefined || change.variants !== undefined, {
      message: 'give enabled, variants or both',
    }),
);

export const JobPage = pageSchema('JobPage', Job);
const ListedGate = named(
  'ListedGate',
  z.strictObject({
    ...Gate.shape,
    breakGlass: breakGlass.describe('break-glass by which a version has more here than it is admitted to'),
  }),
);

export const GatePage = regionsPageSchema('GatePage', ListedGate);
export const FlagSource = named(
  'FlagSource',
  z.strictObject({
    kind: z.string().describe('embedded or unleash'),
    url: z.string().nullable().describe('the server to change flags at; null: they are changed here'),
    heardAt: time.nullable().describe('when it last confirmed what is shown; null: never, by this process'),
    ageMs: durationMs.nullable(),
    polledMs: durationMs.nullable().describe('how often it is asked; null: it tells of changes by itself'),
    problem: z
      .strictObject({
        code: z.enum(['flag-malformed', 'flag-unauthorised', 'flag-unreachable']),
        reason: z.string(),
        since: time,
      })
      .nullable()
      .describe('what is wrong with it, as this process sees it'),
  }),
);

export const FlagPage = named(
  'FlagPage',
  z.strictObject({ ...pageShape(FlagWithAnswer), source: FlagSource }),
);
