import type { IncidentState } from './incident-states.js';
import type { Severity } from './severity.js';

export const CAUSES = ['trip', 'kill', 'manual', 'absence'] as const;
/** What opened it: a rule of the guard, somebody's kill, somebody by hand, or that something has not come. */
export type Cause = (typeof CAUSES)[number];

/** Where it happened, and which runs there belong to it. Times are ISO 8601 in UTC, by the region's clock. */
export interface IncidentRegion {
  readonly region: string;
  /** The first bad run, where it is known. */
  readonly firstRun: string | null;
  /** Runs elected before this do not belong to it. */
  readonly since: string;
  /** From when on nothing of it could commit any more; null while it may. */
  readonly containedAt: string | null;
}

/** What opened it, or joined it since. */
export interface IncidentNote {
  readonly at: string;
  readonly by: string;
  readonly cause: Cause;
  readonly title: string;
  readonly regions: readonly string[];
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Times are ISO 8601 in UTC; null for what has not come yet. */
export interface Incident {
  /** 8 letters and digits, to be read out and typed. */
  readonly id: string;
  readonly job: string;
  /** Null where nobody knows which version is to blame: then runs of all versions belong to it. */
  readonly version: string | null;
  readonly cause: Cause;
  readonly state: IncidentState;
  /** Null until somebody has looked at its impact. */
  readonly severity: Severity | null;
  readonly title: string;
  readonly regions: readonly IncidentRegion[];
  /** The oldest first. */
  readonly evidence: readonly IncidentNote[];
  readonly openedBy: string;
  readonly openedAt: string;
  readonly containedAt: string | null;
  readonly restoredAt: string | null;
  readonly closedAt: string | null;
  readonly closedBy: string | null;
  readonly conclusion: string | null;
  readonly falseAlarm: boolean;
}
