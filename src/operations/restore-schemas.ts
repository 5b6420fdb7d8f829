import { z } from 'zod';
import { count, Image, named, reason, text, isoTime, UnitLabel } from '../kernel/schema.js';

export const Impact = named(
  'Impact',
  z.strictObject({
    runId: z.guid(),
    unitLabel: UnitLabel,
    units: count.describe('units on whose behalf at least one row was changed'),
    rows: count,
    byKind: z.array(z.strictObject({ resource: z.string(), kind: z.string(), rows: count })).readonly(),
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

export const RestorePreview = named(
  'RestorePreview',
  z.strictObject({
    runId: z.guid(),
    applied: count.describe('changes that the run applied'),
    alreadyRestored: count.describe('of these, restored already'),
    restorable: count.describe('rows as the run left them'),
    asBefore: count.describe('rows that somebody else has brought back'),
    conflicts: count.describe('rows touched since: a restore leaves them alone'),
  }),
);

export const RestoreOrder = named(
  'RestoreOrder',
  z.strictObject({ reason: reason.optional().describe('for the record') }),
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
