import { z } from 'zod';
import { APPROVAL_STATES } from '../access/approvals.js';
import { GATE_STATES } from '../gate/browse-gates.js';
import { CHANGE_STATES } from '../journal/browse-changes.js';
import { RUN_STATES, type RunStatus } from '../scheduler/run-states.js';
import { Problem } from './problem.js';

/** The schemas that have a name of their own in the OpenAPI document. */
export const namedSchemas = z.registry<{ id: string }>();

export function named<Schema extends z.ZodType>(id: string, schema: Schema): Schema {
  namedSchemas.add(schema, { id });
  return schema;
}

/** PostgreSQL's text holds every character but this one. */
export const text = (schema: z.ZodString) =>
  schema.refine((value) => !value.includes('\0'), { message: 'must not hold the character U+0000' });
export const word = text(z.string().min(1).max(200));
export const time = z.iso.datetime().describe('ISO 8601, UTC');
export const count = z.int().min(0);
const durationMs = z.int().min(0).describe('milliseconds');
export const runStatuses = Object.keys(RUN_STATES) as [RunStatus, ...RunStatus[]];

export const KindCounts = named(
  'KindCounts',
  z.record(z.string(), count).describe('counts by kind of change'),
);

const Image = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

export const Variant = named(
  'Variant',
  z.strictObject({
    version: z.string().describe('semver+digest'),
    permille: z.int().min(1).max(1000).describe('share of the units, in thousandths'),
    rule: z.string().optional().describe('a fingerprint of what decides besides the shares'),
  }),
);

export const Job = named(
  'Job',
  z.strictObject({
    name: z.string(),
    version: z.string().describe('semver+digest of the code that this process has'),
    schedule: z.string().nullable().describe('cron, in UTC; null where no policy schedules it'),
    regions: z.array(z.string()).readonly(),
    kinds: z.array(z.string()).readonly().describe('kinds of change that it may propose'),
  }),
);

export const Gate = named(
  'Gate',
  z.strictObject({
    job: z.string(),
    region: z.string(),
    state: z.enum(GATE_STATES),
    permits: z.boolean().describe('whether a batch could pass now: open, with a permit that has not lapsed'),
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

export const Flag = named(
  'Flag',
  z.strictObject({
    name: z.string().describe('job.region'),
    job: z.string(),
    region: z.string(),
    enabled: z.boolean(),
    variants: z.array(Variant).readonly().describe('in order of their buckets, candidate first'),
    revision: count,
    reason: z.string(),
    changedBy: z.string(),
    changedAt: time,
    malformed: z.string().optional().describe('what is wrong with the flag as stored; such a flag is closed'),
  }),
);

/** What this process would answer a gate now, which a stale source closes whatever the flag's state is. */
export const FlagWithAnswer = named(
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
      reason: text(z.string().trim().min(1).max(500)).describe('for the record'),
      ifRevision: z.int().min(0).optional().describe('refuse if the flag has changed since this revision'),
    })
    .refine((change) => change.enabled !== undefined || change.variants !== undefined, {
      message: 'give enabled, variants or both',
    }),
);

export const Run = named(
  'Run',
  z.strictObject({
    runId: z.guid(),
    job: z.string(),
    version: z.string(),
    region: z.string(),
    slot: time,
    trigger: z.enum(['schedule', 'catch-up', 'manual', 'restore']),
    restores: z.guid().nullable().describe('the run whose changes this one takes back'),
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
          figures: z.record(z.string(), z.unknown()).describe('what it was said on'),
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

export const Impact = named(
  'Impact',
  z.strictObject({
    runId: z.guid(),
    units: count.describe('organisations on whose behalf at least one row was changed'),
    rows: count,
    byKind: z.array(z.strictObject({ resource: z.string(), kind: z.string(), rows: count })).readonly(),
    conflicts: count.describe('changes left out because their rows were not as planned'),
    firstAppliedAt: time.nullable(),
    lastAppliedAt: time.nullable(),
  }),
);

export const RestorePreview = named(
  'RestorePreview',
  z.strictObject({
    runId: z.guid(),
    applied: count.describe('changes that the run applied'),
    alreadyRestored: count.describe('of these, taken back by a restore'),
    restorable: count.describe('rows as the run left them'),
    asBefore: count.describe('rows that somebody else has brought back'),
    conflicts: count.describe('rows touched since: a restore leaves them alone'),
  }),
);

export const RestoreBegun = named(
  'RestoreBegun',
  z.strictObject({
    runId: z.guid(),
    restore: z.guid().describe('the run that takes it back: see how far it is at /api/v1/runs/{id}'),
    begun: z.boolean().describe('false where one was under way already'),
  }),
);

export const AsOf = named(
  'AsOf',
  z.strictObject({
    subject: z.string(),
    image: Image.nullable().describe('null: the row was not there'),
    from: z
      .enum(['change-before', 'change-after', 'row-now'])
      .describe('set by a change before the moment, met by one after it, or the row as it is now'),
    run: z.guid().nullable(),
    job: z.string().nullable(),
    version: z.string().nullable(),
    kind: z.string().nullable(),
    appliedAt: time.nullable(),
  }),
);

const Evidence = z.record(z.string(), z.unknown()).readonly();
const hash = z.string().regex(/^[0-9a-f]{64}$/);

export const AuditEntry = named(
  'AuditEntry',
  z.strictObject({
    seq: z.int().describe('1 for the first, and one more for each'),
    at: time,
    principal: z.string(),
    action: z.string(),
    subject: z.string(),
    evidence: Evidence,
    flagRevision: z.int().nullable(),
    prev: hash.describe('the hash of the entry before'),
    hash: hash.describe('SHA-256 over the bytes of prev and the canonical JSON of all but prev and hash'),
  }),
);

export const Approval = named(
  'Approval',
  z.strictObject({
    id: z.string(),
    action: z.string(),
    subject: z.string(),
    region: z.string().nullable().describe('null: everywhere'),
    reason: z.string(),
    evidence: Evidence,
    state: z.enum(APPROVAL_STATES),
    requestedBy: z.string(),
    requestedAt: time,
    expiresAt: time,
    decidedBy: z.string().nullable(),
    decidedAt: time.nullable(),
    carriedOutAt: time.nullable(),
  }),
);

export const reason = text(z.string().trim().min(1).max(500));
const decimalMs = z.number().min(0).describe('milliseconds');

export const KillOrder = named(
  'KillOrder',
  z.strictObject({
    region: word.optional().describe('only in this region; absent: in all'),
    version: word
      .optional()
      .describe('only this version: it is quarantined, and the gate stays open for others'),
    reason: reason.describe('for the record, and for whoever re-arms it'),
  }),
);
export const StopOrder = named('StopOrder', z.strictObject({ reason: reason.describe('for the record') }));

export const Killed = named(
  'Killed',
  z.strictObject({
    job: z.string(),
    killed: z
      .array(
        z.strictObject({
          job: z.string(),
          region: z.string(),
          epoch: z.int().describe("the gate's from now on"),
          tookMs: decimalMs.describe('until no batch in its scope could commit any more, in milliseconds'),
          inFlight: count.describe('batches that were under way when the kill came'),
          terminated: count.describe('of their connections, those that had to be ended'),
          runsEnded: z.array(z.string()).readonly(),
        }),
      )
      .readonly(),
    failed: z
      .array(
        z.strictObject({
          region: z.string(),
          reason: z.string(),
          wish: z.string().nullable(),
          lapsesBy: z.string().nullable(),
        }),
      )
      .readonly()
      .describe('always empty in an answer: where one is not, the kill is KILL_INCOMPLETE'),
    incident: z.string().nullable().describe('that it opened, or joined; null where it could open none'),
    unrecorded: z.string().optional().describe('why it is not on the record; the kill holds all the same'),
  }),
);
export const Stopped = named('Stopped', z.strictObject({ jobs: z.array(Killed).readonly() }));

export const RearmOrder = named(
  'RearmOrder',
  z
    .strictObject({
      region: word.optional().describe('the region whose gate was killed'),
      version: word.optional().describe('the version whose quarantine to lift, everywhere'),
      reason: reason.describe('why it is safe now: the incident or reason that this answers'),
    })
    .refine((order) => (order.region === undefined) !== (order.version === undefined), {
      message: 'give either region or version',
    }),
);

export function pageSchema<Item extends z.ZodType>(id: string, item: Item) {
  return named(id, z.strictObject(pageShape(item)));
}

function pageShape<Item extends z.ZodType>(item: Item) {
  return {
    items: z.array(item).readonly(),
    next: z.string().nullable().describe('pass as cursor for the page behind; null on the last'),
  };
}

/** A page out of every region database. */
function planesPageSchema<Item extends z.ZodType>(id: string, item: Item) {
  return named(
    id,
    z.strictObject({
      ...pageShape(item),
      unreachable: z
        .array(z.string())
        .readonly()
        .describe('region databases that could not be asked: what lies in them is missing here'),
    }),
  );
}

export const JobPage = pageSchema('JobPage', Job);
export const GatePage = planesPageSchema('GatePage', Gate);
export const FlagPage = pageSchema('FlagPage', FlagWithAnswer);
export const RunPage = planesPageSchema('RunPage', Run);
export const AuditPage = pageSchema('AuditPage', AuditEntry);
export const ApprovalPage = pageSchema('ApprovalPage', Approval);
export const ChangePage = pageSchema('ChangePage', Change);

export const Health = named('Health', z.strictObject({ status: z.literal('up') }));
export const Readiness = named(
  'Readiness',
  z.strictObject({
    status: z.enum(['ready', 'not-ready']),
    reasons: z.array(z.string()).readonly().describe('why not; empty when ready'),
  }),
);

named('Problem', Problem);

/** The query of every list. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('the most items'),
  cursor: z.string().min(1).max(1000).optional().describe('`next` of the page before, unchanged'),
};
export const jobQuery = word.optional().describe('only of this job');
export const regionQuery = word.optional().describe('only in this region');
export const statusQuery = z.enum(runStatuses).optional().describe('only in this status');
export const runIdPath = z
  .string()
  .min(1)
  .max(64)
  .describe("a run's id, or the first 4 or more digits of one");
export const approvalIdPath = word.describe("a request's id, in either case");
export const subjectPath = text(z.string().min(3).max(1000)).describe(
  'a resource and the key of a row: account:a-17',
);
export const kindQuery = word.optional().describe('only of this kind');
export const namePath = word;
