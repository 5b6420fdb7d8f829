import { Counter, Gauge, type Registry } from 'prom-client';

/** Where a run or a gate stands. Never a unit or a row: labels must stay few. */
export interface Place {
  readonly job: string;
  readonly region: string;
}

/** Its labels. */
export const PLACE = ['job', 'region'] as const;

const GATE_STATES = ['open', 'held', 'killed'] as const;
export type GateState = (typeof GATE_STATES)[number];

/** A place's gate, and what happens in it now and then. */
export interface PlaceMetrics {
  gateState(gate: Place & { readonly state: GateState }): void;
  /** Seconds until the gate's permit expires; 0 once it has. */
  permitSeconds(permit: Place & { readonly seconds: number }): void;
  leaseTakenOver(place: Place): void;
  /** One bad outcome that was new. Without its kind, which is the reporter's word: labels must stay few. */
  outcomeReported(place: Place): void;
}

export function measurePlaces(registry: Registry): PlaceMetrics {
  const registers = [registry];
  const gateState = new Gauge({
    name: 'portcullis_gate_state',
    help: 'Whether the gate is in this state: 1 yes, 0 no.',
    labelNames: [...PLACE, 'state'],
    registers,
  });
  const permitSeconds = new Gauge({
    name: 'portcullis_gate_permit_remaining_seconds',
    help: 'Time until the permit of a gate expires; 0 once it has.',
    labelNames: PLACE,
    registers,
  });
  const takeovers = new Counter({
    name: 'portcullis_lease_takeovers_total',
    help: 'Runs that another worker took over after their lease expired.',
    labelNames: PLACE,
    registers,
  });
  const outcomes = new Counter({
    name: 'portcullis_outcomes_total',
    help: 'Bad outcomes of units that products reported.',
    labelNames: PLACE,
    registers,
  });
  return {
    gateState({ job, region, state }) {
      // Prometheus sees no rise in a series that begins at one, so these begin with the gate.
      for (const counter of [takeovers, outcomes]) counter.inc({ job, region }, 0);
      for (const each of GATE_STATES) gateState.set({ job, region, state: each }, each === state ? 1 : 0);
    },
    permitSeconds({ job, region, seconds }) {
      permitSeconds.set({ job, region }, Math.max(0, seconds));
    },
    leaseTakenOver({ job, region }) {
      takeovers.inc({ job, region });
    },
    outcomeReported({ job, region }) {
      outcomes.inc({ job, region });
    },
  };
}
