import { viewColumns } from '../postgres/view.js';
import { ChainedEntry } from './chain.js';

/** The database's clock, in the form that is hashed: lossless, and the same whatever a session's settings. */
export const NOW = isoText('clock_timestamp()');

export const AUDIT_COLUMNS = viewColumns(ChainedEntry, {
  at: isoText('at'),
  prev: "encode(prev, 'hex')",
  hash: "encode(hash, 'hex')",
});

/** jsonb writes times in ISO 8601 to the microsecond, whatever DateStyle says. */
function isoText(timestamptz: string): string {
  return `(to_jsonb(${timestamptz} at time zone 'UTC') #>> '{}') || 'Z'`;
}
