import type { ChainedEntry } from './chain.js';

export interface AuditRow extends Omit<ChainedEntry, 'flagRevision'> {
  readonly flag_revision: number | null;
}

/** The database's clock, in the form that is hashed: lossless, and the same whatever a session's settings. */
export const NOW = isoText('clock_timestamp()');

export const AUDIT_COLUMNS = `
  seq, ${isoText('at')} as at, principal, action, subject, evidence, flag_revision,
  encode(prev, 'hex') as prev, encode(hash, 'hex') as hash`;

export function entryOfRow({ flag_revision: flagRevision, ...rest }: AuditRow): ChainedEntry {
  return { ...rest, flagRevision };
}

/** jsonb writes times in ISO 8601 to the microsecond, whatever DateStyle says. */
function isoText(timestamptz: string): string {
  return `(to_jsonb(${timestamptz} at time zone 'UTC') #>> '{}') || 'Z'`;
}
