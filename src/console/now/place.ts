import type { Output } from '../outputs.js';

export type Overview = Output<'getOverview'>;
export type Job = Overview['jobs'][number];
export type Gate = Job['gates'][number];
export type GateState = Gate['state'];

/** A gate with the job that it is of. */
export interface Place {
  readonly job: Job;
  readonly gate: Gate;
}

/** In the order in which a person on call looks for them. */
export const GATE_STATES: readonly GateState[] = ['killed', 'silent', 'held', 'rolling-out', 'open'];
