import { z } from 'zod';
import { FiringTrigger, Trial } from '../runs/run-triggers.js';
import { count, Image, named, reason, text, isoTime, UnitLabel, word } from '../kernel/schema.js';

export const Impact = named(
  'Impact',
  z.strictObject({
    runId: z.guid(),
    unitLabel: UnitLabel,
    units: count.describe('units on whose behalf at least one row was changed'),
    rows: count,
    byKind: z.array(z.strictObject({ resource: z.string(), kind: z.string(), rows: count })).readonly(),
    cascaded: count.describe(
      'rows of other tables that the database deleted, or changed, with rows that were deleted',
    ),
    byCascade: z
      .array(z.strictObject({ table: z.string(), rows: count }))
      .readonly()
      .describe('the same by table'),
    byProduct: z
      .array(
        z.strictObject({
          product: z.string(),
          rows: count.describe('rows used in it, each once'),
          units: count.describe('units on whose behalf these were changed'),
        }),
      )
      .readonly()
      .nullable()
      .describe('by the products that rows are used in, as known now; null where that is not known'),
    conflicts: count.describe('changes left out because their rows were not as planned'),
    firstAppliedAt: isoTime.nullable(),
    lastAppliedAt: isoTime.nullable(),
  }),
);

export const UnitImpact = named(
  'UnitImpact',
  z.strictObject({
    region: z.string(),
    unit: z.string(),
    rows: count,
    byResource: z.record(z.string(), count),
  }),
);

export const mostQuery = z.strictObject({
  most: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('no more than so many of each region; absent: all'),
});

export const RestoreConflict = named(
  'RestoreConflict',
  z.strictObject({
    resource: z.string(),
    key: z.string(),
    kind: z.string(),
    unit: z.string(),
    before: Image.nullable(),
    after: Image.nullable(),
    now: Image.nullable().describe('the row as it is; null: there is none'),
    refusal: z.string().nullable().describe('why the database refused the row, where it did'),
  }),
);

const rowKey = text(z.string().min(3).max(1000)).regex(
  /^[^:]+:./s,
  'give resource:key, such as account:a-17',
);
const mostNamed = 1_000;

/** What of a run is restored, in a body. */
const partShape = {
  resources: z.array(word).max(mostNamed).optional().describe('only changes of these resources'),
  units: z
    .array(text(z.string().min(1).max(1000)))
    .max(mostNamed)
    .optional()
    .describe('only changes for these units'),
  keys: z.array(rowKey).max(mostNamed).optional().describe('only these rows, as resource:key'),
};

/** The same in a query, where a name is repeated. */
const repeated = <Of extends z.ZodType<string, string>>(each: Of) =>
  z
    .union([each, z.array(each).max(mostNamed)])
    .transform((given) => (typeof given === 'string' ? [given] : given));

export const partQuery = {
  resource: repeated(word).optional().describe('only changes of this resource; may be repeated'),
  unit: repeated(text(z.string().min(1).max(1000)))
    .optional()
    .describe('only changes for this unit; may be repeated'),
  key: repeated(rowKey).optional().describe('only this row, as resource:key; may be repeated'),
};

export const RestorePreview = named(
  'RestorePreview',
  z.strictObject({
    runId: z.guid(),
    applied: count.describe('changes that the run applied'),
    alreadyRestored: count.describe('of these, restored already'),
    restorable: count.describe('rows as the run left them'),
    asBefore: count.describe('rows that somebody else has brought back'),
    conflicts: count.describe('rows touched since: a restore leaves them alone'),
    triggers: z.array(FiringTrigger).readonly().describe('that fire on what a restore writes'),
    trial: Trial.nullable().describe(
      'null: no trigger fires, nothing is left to restore, or it was not asked for',
    ),
  }),
);

export const RestoreOrder = named(
  'RestoreOrder',
  z.strictObject({ reason: reason.optional().describe('for the record'), ...partShape }),
);

export const RestoreBegun = named(
  'RestoreBegun',
  z.strictObject({
    runId: z.guid(),
    restore: z.guid().describe('the run that restores it; its progress is at /api/v1/runs/{id}'),
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
    appliedAt: isoTime.nullable(),
  }),
);

export const subjectPath = text(z.string().min(3).max(1000)).describe(
  'a resource and the key of a row: account:a-17',
);
