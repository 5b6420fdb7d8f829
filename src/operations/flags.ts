import { z } from 'zod';
import { pageOfList } from '../postgres/page.js';
import { flagName, HOLD, spansOf } from '../flags/definition.js';
import { flagAtRevision, listFlagChanges } from '../flags/flag-store.js';
import { flagElsewhere } from '../flags/flags-elsewhere.js';
import { bucketsOf } from '../kernel/bucketing.js';
import { FlagSetView, SourceView, FlagView } from '../flags/flag-desk.js';
import type { OperationFlags } from './context.js';
import { operation } from './operation.js';
import { count, named, pageSchema, reason, isoTime, word, pageShape } from '../kernel/schema.js';
import { jobQuery, namePath, pageQuery, regionQuery } from './schemas.js';
import { Variant } from '../flags/variant.js';

const place = z.strictObject({ job: namePath, region: namePath });
const setErrors = [
  'JOB_UNKNOWN',
  'REGION_UNKNOWN',
  'POLICY_MISSING',
  'POLICY_INVALID',
  'FLAG_CHANGE_INVALID',
  'FLAG_REVISION_STALE',
  'ADMISSION_EXCEEDED',
  'FLAGS_ELSEWHERE',
  'AUDIT_ENTRY_INVALID',
] as const;

const setting = {
  enabled: z.boolean(),
  variants: z.array(Variant).readonly().describe('in order of their buckets, candidate first'),
};
const FlagHistory = pageSchema(
  'FlagHistory',
  named(
    'FlagHistoryEntry',
    z.strictObject({
      revision: count,
      ...setting,
      before: z.strictObject(setting).nullable().describe('null: the flag was new'),
      reason: z.string(),
      changedBy: z.string(),
      changedAt: isoTime,
    }),
  ),
);

const FlagChange = named(
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

/** What this process would answer a gate now, which a stale source closes whatever the flag's state is. */
const FlagWithAnswer = named(
  'FlagWithAnswer',
  z.strictObject({
    ...FlagView.shape,
    open: z.boolean().describe('whether this process would let any version act now'),
    closedCode: z.string().nullable().describe('why not'),
    closedReason: z.string().nullable(),
  }),
);

const FlagPage = named('FlagPage', z.strictObject({ ...pageShape(FlagWithAnswer), source: SourceView }));

const FlagRevert = named(
  'FlagRevert',
  z.strictObject({
    revision: z.int().min(0).describe('the revision to return to'),
    reason: reason.describe('for the record'),
    ifRevision: z.int().min(0).optional().describe('refuse if the flag has changed since this revision'),
  }),
);

const Explanation = named(
  'FlagExplanation',
  z.strictObject({
    flag: z.string().describe('job.region'),
    unit: z.string(),
    version: z.string().nullable().describe('the version that may act for the unit; null: none'),
    code: z.string().describe('given, held, or why the flag is closed'),
    reason: z.string(),
    bucket: z
      .int()
      .min(1)
      .max(1000)
      .nullable()
      .describe('of 1000; null where the flag is closed, or rules of its source decide'),
    spans: z
      .array(z.strictObject({ version: z.string(), from: count, to: count }))
      .readonly()
      .describe('the buckets that each version has, as far as it is admitted'),
    revision: count.nullable(),
  }),
);

export const flagOperations = {
  listFlags: operation({
    at: 'GET /api/v1/flags',
    example: { job: 'dormant-cleanup' },
    summary:
      'Flags by job and region as their source has them, each with what this process would answer a gate now',
    action: 'read',
    query: z.strictObject({ ...pageQuery, job: jobQuery, region: regionQuery }),
    result: FlagPage,
    run: async ({ flags }, { job, region, ...page }) => {
      const all = await flags.list();
      const wanted = all.filter(
        (flag) => (job ?? flag.job) === flag.job && (region ?? flag.region) === flag.region,
      );
      const { items, next } = pageOfList(wanted, page, (flag) => [flag.job, flag.region]);
      return {
        items: items.map((flag) => ({ ...flag, ...answerNow(flags, flag) })),
        next,
        source: flags.source(),
      };
    },
  }),
  setFlag: operation({
    at: 'POST /api/v1/flags/:job/:region',
    example: {
      job: 'dormant-cleanup',
      region: 'eu-west-1',
      enabled: false,
      reason: 'support asked for a pause',
    },
    summary: 'Sets a flag; every process hears of it',
    action: 'set-flag',
    params: z.strictObject({ job: namePath, region: namePath }),
    body: FlagChange,
    oneCommit: true,
    result: FlagSetView,
    errors: setErrors,
    run: ({ flags }, { job, region, enabled, variants, reason, ifRevision }, caller) =>
      flags.set({
        job,
        region,
        ...(enabled !== undefined && { enabled }),
        ...(variants !== undefined && { variants }),
        ...(ifRevision !== undefined && { ifRevision }),
        reason,
        changedBy: caller.name,
      }),
  }),
  listFlagChanges: operation({
    at: 'GET /api/v1/flags/:job/:region/history',
    example: { job: 'dormant-cleanup', region: 'eu-west-1', limit: 10 },
    summary: "A flag's changes, newest first, each with what was set before it",
    action: 'read',
    params: place,
    query: z.strictObject({ ...pageQuery }),
    result: FlagHistory,
    errors: ['FLAGS_ELSEWHERE'],
    run: ({ control, flagsAt }, { job, region, ...page }) => {
      if (flagsAt !== undefined) throw flagElsewhere(flagsAt, job, region);
      return listFlagChanges(control, { job, region }, page);
    },
  }),
  revertFlag: operation({
    at: 'POST /api/v1/flags/:job/:region/revert',
    example: {
      job: 'dormant-cleanup',
      region: 'eu-west-1',
      revision: 41,
      reason: 'the share was for a test',
    },
    summary: 'Sets a flag as it was at a revision; admissions limit it as they limit any change',
    action: 'set-flag',
    params: place,
    body: FlagRevert,
    oneCommit: true,
    result: FlagSetView,
    errors: [...setErrors, 'FLAG_CHANGE_UNKNOWN'],
    run: async ({ control, flags, flagsAt }, { job, region, revision, reason, ifRevision }, caller) => {
      if (flagsAt !== undefined) throw flagElsewhere(flagsAt, job, region);
      const { enabled, variants } = await flagAtRevision(control, { job, region }, revision);
      return flags.set({
        ...{ job, region, enabled, variants, reason, changedBy: caller.name },
        ...(ifRevision !== undefined && { ifRevision }),
      });
    },
  }),
  explainFlag: operation({
    at: 'GET /api/v1/flags/:job/:region/explain',
    example: { job: 'dormant-cleanup', region: 'eu-west-1', unit: 'org-1' },
    summary: 'What a flag gives to one unit, and why, as this process would answer now',
    action: 'read',
    params: place,
    query: z.strictObject({ unit: word.describe('the unit that is asked about') }),
    result: Explanation,
    run: ({ flags }, { job, region, unit }) => explained(flags, flagName(job, region), unit),
  }),
};

/** Why a unit gets what it gets, in the order in which it is decided. */
async function explained(flags: OperationFlags, flag: string, unit: string) {
  const asked = { flag, unit };
  const answer = flags.look(flag);
  if (!answer.open) {
    const { code, reason, revision = null } = answer;
    return { ...asked, version: null, code, reason, bucket: null, spans: [], revision };
  }
  const { definition } = answer;
  const { value, errorMessage } = await flags.evaluate(flag, unit);
  const version = value === HOLD ? null : value;
  const code = version === null ? 'held' : 'given';
  const found = { ...asked, version, code, revision: definition.revision };
  if (errorMessage !== undefined) return { ...found, reason: errorMessage, bucket: null, spans: [] };
  if (definition.bucketing !== undefined) {
    const reason =
      version === null
        ? `the rules of ${flag} at its source, held down to what versions are admitted to, give ${unit} no version`
        : `the rules of ${flag} at its source give ${unit} the version ${version}`;
    return { ...found, reason, bucket: null, spans: [] };
  }
  const bucket = bucketsOf(definition.name)(unit);
  const spans = spansOf(definition.variants).map((span) => ({
    version: span.version,
    from: span.after + 1,
    to: span.upTo,
  }));
  const of = spans.find(({ from, to }) => bucket >= from && bucket <= to);
  const reason =
    of === undefined
      ? `${unit} has the bucket ${bucket} of 1000, which no version has`
      : `${unit} has the bucket ${bucket} of 1000; ${of.version} has ${of.from} to ${of.to}`;
  return { ...found, reason, bucket, spans };
}
function answerNow(flags: OperationFlags, { name }: FlagView) {
  const answer = flags.look(name);
  return answer.open
    ? { open: true, closedCode: null, closedReason: null }
    : { open: false, closedCode: answer.code, closedReason: answer.reason };
}
