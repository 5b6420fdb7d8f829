import { z } from 'zod';
import { count, named } from '../kernel/schema.js';

/** A trigger that fires on what a run or a restore does to the rows of a resource. */
export const FiringTrigger = named(
  'FiringTrigger',
  z.strictObject({
    resource: z.string(),
    table: z.string(),
    trigger: z.string(),
    when: z.enum(['before', 'after', 'at the commit']),
    on: z.array(z.enum(['insert', 'update', 'delete'])).readonly(),
    sets: z
      .array(z.string())
      .readonly()
      .nullable()
      .describe('the columns that its function sets, as far as its text tells; null: it does not'),
  }),
);

/**
 * What triggers make of changes, found by carrying some out in a transaction that is rolled back: nothing of it stays,
 * but for the numbers that sequences have given, and what a trigger does outside of the database.
 */
export const Trial = named(
  'Trial',
  z.strictObject({
    tried: count.describe('changes that were carried out in a transaction that was rolled back'),
    refused: count.describe('of these, refused by the database, or made something else of by a trigger'),
    examples: z
      .array(z.strictObject({ resource: z.string(), key: z.string(), why: z.string() }))
      .readonly()
      .describe('the first of these'),
    sets: z
      .array(z.strictObject({ resource: z.string(), columns: z.array(z.string()).readonly() }))
      .readonly()
      .describe('columns that triggers were seen to set besides'),
    writes: z
      .array(z.strictObject({ table: z.string(), inserted: count, updated: count, deleted: count }))
      .readonly()
      .describe(
        'rows of other tables that triggers were seen to write: these are not kept, and not restored',
      ),
    ended: z.string().nullable().describe('why no more were tried; null: all that were to be'),
  }),
);
export type Trial = z.infer<typeof Trial>;

/** What of a run a restore restores. */
export const RestoredPart = z.strictObject({
  resources: z.array(z.string()).readonly().optional(),
  units: z.array(z.string()).readonly().optional(),
  keys: z.array(z.string()).readonly().optional(),
});
