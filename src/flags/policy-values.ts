import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { formatDurationMs, parseDurationMs } from '../kernel/duration.js';

/** Names of jobs and regions. They have no dot, for `job.region` names a flag. */
export const NAME = /^[a-z][a-z0-9-]{0,62}$/;

export const name = (what: string) =>
  z
    .string()
    .regex(
      NAME,
      `is not the name of a ${what}: small letters, digits and hyphens, at most 63, a letter first`,
    );

export const duration = (minimumMs: number, maximumMs: number) => {
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

export const whole = (minimum: number, maximum: number, description: string) =>
  z.int().min(minimum).max(maximum).meta({ description });

export const percentage = z
  .string({ error: () => `is not a percentage such as "5%" or "0.1%"` })
  .regex(/^(100(\.0)?|\d{1,2}(\.\d)?)%$/, 'is not a percentage from 0% to 100% in steps of 0.1%');

export const distinct = <T>(items: readonly T[], keyOf: (item: T) => unknown): boolean =>
  new Set(items.map(keyOf)).size === items.length;

/** Reads a field of an item that may be of any shape yet. */
export const fieldOf =
  (key: string) =>
  (item: unknown): unknown =>
    (item as Record<string, unknown> | null)?.[key];

/**
 * Checks over several values run even where one of the values has a fault of its own, so that all the
 * faults of a file come out at once.
 */
export const onAnyArray = { when: ({ value }: { value: unknown }) => Array.isArray(value) };
export const onAnyObject = {
  when: ({ value }: { value: unknown }) => typeof value === 'object' && value !== null,
};

/** The milliseconds of a duration that the schema has let through. */
export function milliseconds(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new PortcullisError('INTERNAL', `${text} was taken for a duration`);
  return ms;
}

/** `0.1%` is 1, `5%` is 50: rounded, since 0.7 * 10 is not 7 in binary. */
export function permille(text: string): number {
  return Math.round(Number(text.slice(0, -1)) * 10);
}
