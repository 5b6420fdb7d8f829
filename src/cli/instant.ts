import { PortcullisError } from '../kernel/errors.js';

/**
 * Reads an option that is a moment. A date alone is its first moment in UTC; a time without a zone is in UTC
 * too. Throws USAGE_INVALID.
 */
export function instant(text: string): Date {
  const zoned = /T.*(Z|[+-]\d\d:?\d\d)$/i.test(text) || !text.includes('T') ? text : `${text}Z`;
  const at = /^\d{4}-\d\d-\d\d(T|$)/.test(text) ? new Date(zoned) : new Date(Number.NaN);
  if (!Number.isNaN(at.getTime())) return at;
  throw new PortcullisError('USAGE_INVALID', `${JSON.stringify(text)} is not a moment`, {
    hint: 'write it as 2026-03-01 or 2026-03-01T09:30:00Z',
  });
}
