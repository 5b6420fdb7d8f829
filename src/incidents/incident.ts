import { PortcullisError } from '../kernel/errors.js';
import type { IncidentState } from './incident-states.js';
import type { Severity } from './severity.js';

export const CAUSES = ['trip', 'kill', 'manual', 'absence', 'failover'] as const;
/**
 * What opened it: a rule of the guard, somebody's kill, somebody by hand, that something has not come, or that a region's
 * database is another one than before.
 */
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
  /** Whether a rule or a person has named damage here. Until then no run belongs to it. */
  readonly damaged: boolean;
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
  /** Short; why stands in the evidence. */
  readonly title: string;
  /** A kill for practice: it has no damage. */
  readonly drill: boolean;
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

/** What a trip has closed in a region, and why: the version alone, or the gate. */
export interface TripClosed {
  readonly region: string;
  readonly closed: 'candidate' | 'region';
  readonly why: string;
}

/** What the trips of an incident have closed, the first first. */
export function closedByTrips({ evidence }: Pick<Incident, 'evidence'>): TripClosed[] {
  return evidence.flatMap(({ cause, regions, facts: { closed, closedWhy } }) =>
    cause === 'trip' && (closed === 'candidate' || closed === 'region')
      ? regions.map((region) => ({ region, closed, why: String(closedWhy) }))
      : [],
  );
}

/** What a trip or a kill notes as closed where it left the gate alone. */
const VERSION_ALONE: readonly unknown[] = ['candidate', 'version'];

/** The regions whose gates something of an incident has killed: not those where only the version was stopped. */
export function regionsKilled(incident: Pick<Incident, 'evidence' | 'regions'>): string[] {
  const spared = (region: string): boolean => {
    const stops = incident.evidence.filter(
      ({ cause, regions }) => (cause === 'trip' || cause === 'kill') && regions.includes(region),
    );
    return stops.length > 0 && stops.every(({ facts: { closed } }) => VERSION_ALONE.includes(closed));
  };
  return incident.regions.map(({ region }) => region).filter((region) => !spared(region));
}

/** Whether damage was named in any of its regions: before that nothing is counted, restored or published. */
export function hasDamage({ regions }: Pick<Incident, 'regions'>): boolean {
  return regions.some(({ damaged }) => damaged);
}

/** Throws INCIDENT_STATE where nobody has named damage, or where there is none by definition. */
export function requireDamage(incident: Incident): void {
  if (hasDamage(incident)) return;
  const { id, state, drill } = incident;
  throw new PortcullisError(
    'INCIDENT_STATE',
    drill
      ? `${id} is a drill: nothing was damaged`
      : `nobody has named damage of ${id}: no run belongs to it`,
    {
      hint: drill
        ? `portcullis incident close ${id} ends it`
        : `name it: portcullis incident include ${id} RUN, or --since TIME`,
      details: { id, state, drill },
    },
  );
}

/** Why it was opened: what the person said, or what the rules found. */
export function causeOf({ evidence, cause, title }: Pick<Incident, 'evidence' | 'cause' | 'title'>): string {
  const facts = evidence.find((note) => note.cause === cause)?.facts ?? {};
  if (typeof facts['reason'] === 'string') return facts['reason'];
  const failed: unknown[] = Array.isArray(facts['failed']) ? facts['failed'] : [];
  const reasons = failed.flatMap((each) => {
    const reason = (each as { reason?: unknown } | null)?.reason;
    return typeof reason === 'string' ? [reason] : [];
  });
  return reasons.length === 0 ? title : reasons.join('; ');
}
