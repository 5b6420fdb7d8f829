import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { type IncidentState, INCIDENT_STATES } from './incident-states.js';
import { SEVERITIES } from './severity.js';
import { Evidence, isoTime, named } from '../kernel/schema.js';

export const CAUSES = ['trip', 'kill', 'manual', 'absence', 'failover'] as const;
/**
 * What opened it: a rule of the guard, somebody's kill, somebody by hand, that something has not come, or that a region's
 * database is another one than before.
 */
export type Cause = (typeof CAUSES)[number];

const IncidentRegion = z.strictObject({
  region: z.string(),
  firstRun: z.guid().nullable().describe('the first bad run, where it is known'),
  since: z.string().describe('runs elected before this do not belong to it'),
  containedAt: z.string().nullable().describe('from when on nothing of it could commit any more'),
  damaged: z
    .boolean()
    .describe('whether a rule or a person has named damage here; until then no run belongs to it'),
});
/** Where it happened, and which runs there belong to it. Times are ISO 8601 in UTC, by the region's clock. */
export type IncidentRegion = z.infer<typeof IncidentRegion>;

const IncidentNote = z.strictObject({
  at: z.string(),
  by: z.string(),
  cause: z.enum(CAUSES),
  title: z.string(),
  regions: z.array(z.string()).readonly(),
  facts: Evidence,
});
/** What opened it, or joined it since. */
export type IncidentNote = z.infer<typeof IncidentNote>;

const states = Object.keys(INCIDENT_STATES) as [IncidentState, ...IncidentState[]];

/** Times are null for what has not come yet. */
export const Incident = named(
  'Incident',
  z.strictObject({
    id: z.string().describe('8 letters and digits, to be read out and typed'),
    job: z.string(),
    version: z.string().nullable().describe('null where it is not known which is to blame'),
    cause: z.enum(CAUSES),
    state: z.enum(states),
    severity: z
      .enum(SEVERITIES.map(({ severity }) => severity))
      .nullable()
      .describe('null before the first look at its impact'),
    title: z.string(),
    drill: z.boolean().describe('a kill for practice'),
    regions: z.array(IncidentRegion).readonly(),
    evidence: z
      .array(IncidentNote)
      .readonly()
      .describe('what opened it, and what has joined it since; the oldest first'),
    openedBy: z.string(),
    openedAt: isoTime,
    containedAt: isoTime.nullable(),
    restoredAt: isoTime.nullable(),
    closedAt: isoTime.nullable(),
    closedBy: z.string().nullable(),
    conclusion: z.string().nullable(),
    falseAlarm: z.boolean(),
  }),
);
export type Incident = z.infer<typeof Incident>;

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
