import { z } from 'zod';
import { parseReason, REASON_LETTERS } from './reason.js';
import { unstorableIn } from './text.js';

/** The schemas that have a name of their own in the OpenAPI document. */
export const namedSchemas = z.registry<{ id: string }>();

export function named<Schema extends z.ZodType>(id: string, schema: Schema): Schema {
  namedSchemas.add(schema, { id });
  return schema;
}

/** A text that PostgreSQL can hold. */
export const text = (schema: z.ZodString) =>
  schema.superRefine((value, context) => {
    const unstorable = unstorableIn(value);
    if (unstorable !== undefined) context.addIssue(unstorable);
  });

export const word = text(z.string().min(1).max(200));
export const isoTime = z.iso.datetime().describe('ISO 8601, UTC');
export const count = z.int().min(0);
export const durationMs = z.int().min(0).describe('milliseconds');
/** What people are told that the units of a job are. */
export const UnitLabel = z
  .strictObject({ one: z.string(), many: z.string() })
  .describe("what the job's policy calls its units: organisation, organisations");

export const Image = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
export type Image = z.infer<typeof Image>;
export const Evidence = z.record(z.string(), z.unknown()).readonly();
export const reason = z
  .string()
  .trim()
  .min(1)
  .max(REASON_LETTERS)
  .superRefine((value, context) => {
    const parsed = parseReason(value);
    if ('fault' in parsed) context.addIssue(parsed.fault);
  });

export function pageSchema<Item extends z.ZodType>(id: string, item: Item) {
  return named(id, z.strictObject(pageShape(item)));
}

export function pageShape<Item extends z.ZodType>(item: Item) {
  return {
    items: z.array(item).readonly(),
    next: z.string().nullable().describe('pass as cursor for the page behind; null on the last'),
  };
}

/** A page out of every region database. */
export function regionsPageSchema<Item extends z.ZodType>(id: string, item: Item) {
  return named(id, z.strictObject(regionsPageShape(item)));
}

export function regionsPageShape<Item extends z.ZodType>(item: Item) {
  return {
    ...pageShape(item),
    unreachable: z
      .array(z.string())
      .readonly()
      .describe('region databases that could not be asked: what lies in them is missing here'),
  };
}
