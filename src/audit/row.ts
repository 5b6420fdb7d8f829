/** The database's clock, in the form that is hashed: lossless, and the same whatever a session's settings. */
export const NOW = isoText('clock_timestamp()');

/** jsonb writes times in ISO 8601 to the microsecond, whatever DateStyle says. */
export function isoText(timestamptz: string): string {
  return `(to_jsonb(${timestamptz} at time zone 'UTC') #>> '{}') || 'Z'`;
}
