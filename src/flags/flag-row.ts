import { z } from 'zod';
import { WHOLE_PERMILLE } from '../kernel/bucketing.js';
import { currentSpelling } from '../kernel/version-named.js';
import { type FlagDefinition, HOLD, type MalformedFlag, flagName } from './definition.js';
import type { Feature } from './flag-repository.js';
import type { Variant } from './variant.js';

/** A row of portcullis_control.flag, as the pools of src/store answer it. */
export interface FlagRow {
  readonly job: string;
  readonly region: string;
  readonly enabled: boolean;
  readonly variants: unknown;
  readonly revision: number;
}

export const versionShares = z
  .array(
    z.strictObject({
      version: z
        .string()
        .regex(/^[0-9A-Za-z][0-9A-Za-z.+_-]{0,99}$/, 'is not a version such as 1.0.0_9f3c2a1b')
        .overwrite(currentSpelling)
        .refine((version) => version !== HOLD, 'is not a version: what no version has is held anyhow'),
      permille: z
        .int('must be a whole number of thousandths')
        .min(1, 'must be at least 1: a version without a share is left out')
        .max(WHOLE_PERMILLE, `must be at most ${WHOLE_PERMILLE}`),
    }),
  )
  .superRefine((variants, context) => {
    const sum = variants.reduce((total, { permille }) => total + permille, 0);
    if (sum > WHOLE_PERMILLE) context.addIssue(`the shares add up to ${sum} of ${WHOLE_PERMILLE}`);
    if (new Set(variants.map(({ version }) => version)).size < variants.length) {
      context.addIssue('a version is named twice');
    }
  });

/** Understands a flag's row. What is not as Portcullis writes it is malformed, not guessed at. */
export function definitionOfRow(row: FlagRow): FlagDefinition | MalformedFlag {
  const name = flagName(row.job, row.region);
  const parsed = versionShares.safeParse(row.variants);
  if (!parsed.success) {
    const reasons = parsed.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`.trim());
    return { name, malformed: `its variants: ${reasons.join('; ')}`, revision: row.revision };
  }
  return {
    name,
    job: row.job,
    region: row.region,
    enabled: row.enabled,
    variants: parsed.data,
    revision: row.revision,
  };
}

/** A definition as unleash-client evaluates it: the versions in their order, and what is left over is held. */
export function featureOf(name: string, enabled: boolean, variants: readonly Variant[]): Feature {
  const given = variants.reduce((sum, { permille }) => sum + permille, 0);
  const weights = variants.map(({ version, permille }) => ({ name: version, weight: permille }));
  if (given < WHOLE_PERMILLE) weights.push({ name: HOLD, weight: WHOLE_PERMILLE - given });
  return {
    name,
    enabled,
    strategies: [],
    variants: weights.map((each) => ({ ...each, stickiness: 'userId' })),
  };
}
