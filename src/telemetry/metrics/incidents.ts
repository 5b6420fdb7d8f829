import { Gauge, type Registry } from 'prom-client';

/** The incidents of one job that are not closed. */
export interface IncidentFigures {
  readonly job: string;
  /** How many are in each state. */
  readonly states: Readonly<Record<string, number>>;
  /** When the oldest was opened that is not put right yet, in milliseconds since 1970; null: there is none. */
  readonly oldestAt: number | null;
  readonly units: number;
  readonly rows: Readonly<Record<'changed' | 'restored' | 'conflicting', number>>;
}

export interface IncidentMetrics {
  /** All incidents that are not closed, by job. Jobs left out this time are shown no more. */
  incidents(byJob: readonly IncidentFigures[]): void;
}

export function measureIncidents(registry: Registry): IncidentMetrics {
  const registers = [registry];
  const byState = new Gauge({
    name: 'portcullis_incidents',
    help: 'Incidents that are not closed, by state.',
    labelNames: ['job', 'state'],
    registers,
  });
  const oldest = new Gauge({
    name: 'portcullis_incident_oldest_timestamp_seconds',
    help: 'When the oldest incident was opened that is not put right yet; 0 where there is none.',
    labelNames: ['job'],
    registers,
  });
  const hit = new Gauge({
    name: 'portcullis_incident_units',
    help: 'Units, such as organisations, that incidents which are not closed have hit.',
    labelNames: ['job'],
    registers,
  });
  const byMeasure = new Gauge({
    name: 'portcullis_incident_rows',
    help: 'Rows of incidents that are not closed: changed, put back, and skipped by a restore as conflicting.',
    labelNames: ['job', 'measure'],
    registers,
  });
  return {
    incidents(byJob) {
      for (const gauge of [byState, oldest, hit, byMeasure]) gauge.reset();
      for (const { job, states, oldestAt, units, rows } of byJob) {
        for (const [state, count] of Object.entries(states)) byState.set({ job, state }, count);
        oldest.set({ job }, (oldestAt ?? 0) / 1_000);
        hit.set({ job }, units);
        for (const [measure, count] of Object.entries(rows)) byMeasure.set({ job, measure }, count);
      }
    },
  };
}
