/**
 * An incident's life, as a table: each state, what it means, and what may follow.
 *
 * Only `closed` is for good. From every other state it is `open` again as soon as a region joins that is not
 * stopped, and `contained` again when one joins that is, or a restore ends short.
 */
export const INCIDENT_STATES = {
  open: {
    meaning: 'in some region the job may still write',
    next: ['contained', 'closed'],
  },
  contained: {
    meaning: 'nothing of it can commit any more; what it changed stands',
    next: ['open', 'restoring', 'restored', 'closed'],
  },
  restoring: {
    meaning: 'what it changed is being put back',
    next: ['open', 'contained', 'restored', 'closed'],
  },
  restored: {
    meaning: 'put back, but for rows that others have touched since',
    next: ['open', 'contained', 'restoring', 'closed'],
  },
  closed: { meaning: 'a person has said how it ended', next: [] },
} as const satisfies Record<string, { meaning: string; next: readonly string[] }>;

export type IncidentState = keyof typeof INCIDENT_STATES;

/** Whether an incident may go from one state to another. */
export function mayFollow(from: IncidentState, to: IncidentState): boolean {
  return (INCIDENT_STATES[from].next as readonly string[]).includes(to);
}
