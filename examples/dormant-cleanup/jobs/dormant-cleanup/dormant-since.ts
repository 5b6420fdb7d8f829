const YEARS = 2;

/** Customers who were last seen before this are dormant. */
export function dormantSince(now: Date): Date {
  const since = new Date(now);
  since.setUTCFullYear(since.getUTCFullYear() - YEARS);
  return since;
}
