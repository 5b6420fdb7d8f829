import { entriesOf, unescaped } from './entries.js';
import { shown } from '../../../csv/shown.js';
import { type Reader, timestamp } from '../../../csv/values.js';

const PARTS = /^((?:\\.|[^@\\])+)@([^/]+)(?:\/(.+))?$/s;

const FORM = 'organisation@since or organisation@since/removed, separated by semicolons';

/**
 * Reads `org-1@2025-01-01T00:00:00Z;org-2@2024-03-01/2025-06-30`: the organisations that an account
 * administers, since when, and until when if that is over. A `;`, `@` or `\` within an id has a `\` before it.
 * The value is JSON: `[{"organisation_id", "since", "removed_at"}]`.
 */
export const adminOf: Reader = (text) => {
  const entries = entriesOf(text);
  if (entries === undefined) return { fault: `${shown(text)} is not ${FORM}` };
  const admins: { organisation_id: string; since: string; removed_at: string | null }[] = [];
  for (const entry of entries) {
    const [, id, since, removed] = PARTS.exec(entry) ?? [];
    if (id === undefined || since === undefined) return { fault: `${shown(entry)} is not ${FORM}` };
    for (const time of removed === undefined ? [since] : [since, removed]) {
      const reading = timestamp(time);
      if ('fault' in reading) return { fault: `${shown(entry)}: ${reading.fault}` };
    }
    admins.push({ organisation_id: unescaped(id), since, removed_at: removed ?? null });
  }
  return { value: JSON.stringify(admins) };
};
