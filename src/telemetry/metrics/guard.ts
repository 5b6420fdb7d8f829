import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { PLACE, type Place } from './places.js';

/** A rule of a job's policy where it is asked. */
export interface RuleAt extends Place {
  readonly rule: string;
}

/** What the guard says and does. */
export interface GuardMetrics {
  guardVerdict(verdict: RuleAt & { readonly verdict: string }): void;
  /** The newest value of a figure that a rule decides by: `p` or `lnE` and its `limit`, `observed`, `expected`, … */
  guardEvidence(evidence: RuleAt & { readonly measure: string; readonly value: number }): void;
  guardTrip(trip: RuleAt): void;
  /** `detect`: from the first bad change to the trip. `fence`: from the trip to a closed gate. */
  tripSeconds(stage: 'detect' | 'fence', seconds: number): void;
}

const TRIP_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200];

export function measureGuard(registry: Registry): GuardMetrics {
  const registers = [registry];
  const verdicts = new Counter({
    name: 'portcullis_guard_verdicts_total',
    help: 'Verdicts of the guard’s rules.',
    labelNames: [...PLACE, 'rule', 'verdict'],
    registers,
  });
  const evidence = new Gauge({
    name: 'portcullis_guard_evidence',
    help: 'The newest figures that a rule decides by: p or lnE and its limit, observed, expected, low and high.',
    labelNames: [...PLACE, 'rule', 'measure'],
    registers,
  });
  const trips = new Counter({
    name: 'portcullis_guard_trips_total',
    help: 'Times that a rule tripped.',
    labelNames: [...PLACE, 'rule'],
    registers,
  });
  const tripSeconds = new Histogram({
    name: 'portcullis_guard_trip_seconds',
    help: 'Time from the first bad change to the trip (detect), and from the trip to a closed gate (fence).',
    labelNames: ['stage'],
    buckets: TRIP_SECONDS,
    registers,
  });
  // Prometheus sees no rise in a series that begins at one: what may happen once begins at zero, here and with a
  // rule's first verdict.
  for (const stage of ['detect', 'fence']) tripSeconds.zero({ stage });
  return {
    guardVerdict({ job, region, rule, verdict }) {
      verdicts.inc({ job, region, rule, verdict });
      trips.inc({ job, region, rule }, 0);
    },
    guardEvidence({ job, region, rule, measure, value }) {
      evidence.set({ job, region, rule, measure }, value);
    },
    guardTrip({ job, region, rule }) {
      trips.inc({ job, region, rule });
    },
    tripSeconds(stage, seconds) {
      tripSeconds.observe({ stage }, seconds);
    },
  };
}
