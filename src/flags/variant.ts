import { z } from 'zod';
import { named } from '../kernel/schema.js';

/** A version's share of the units, as flags and gates have it. */
export const Variant = named(
  'Variant',
  z.strictObject({
    version: z.string().describe('semantic version and digest, such as 1.0.0_9f3c2a1b'),
    permille: z.int().min(1).max(1000).describe('share of the units, in thousandths'),
    /** Under another rule, no unit is sure to keep its version. Absent for plain shares. */
    rule: z
      .string()
      .optional()
      .describe(
        'a fingerprint of what decides besides the shares: constraints, other strategies, units bucketed under another name',
      ),
  }),
);
export type Variant = z.infer<typeof Variant>;
