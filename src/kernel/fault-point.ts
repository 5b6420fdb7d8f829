/**
 * Named places where a test may stop, delay or kill the process. Without a listener (that is, always in
 * production: nothing in `src` sets one) a fault point costs one comparison.
 */
/** On a run's way. */
export type RunFaultPoint =
  | 'run.elected'
  | 'plan.started'
  | 'plan.copied'
  | 'plan.judged'
  | 'plan.before-commit'
  | 'plan.committed'
  | 'run.reserved'
  | 'plan.before-begin'
  | 'apply.before-fence'
  | 'apply.fenced'
  | 'apply.written'
  | 'apply.committed'
  | 'run.before-finish'
  | 'run.finished';

/** On a rollout's way from one step to the next. */
export type RolloutFaultPoint =
  'rollout.decided' | 'rollout.flag-set' | 'rollout.before-commit' | 'rollout.committed' | 'rollout.tripped';

/** On a trip's way from a closed gate to the last line of its bookkeeping. */
export type TripFaultPoint =
  'trip.written' | 'trip.fenced' | 'trip.quarantined' | 'trip.recorded' | 'trip.run-ended';

/** A kill stands in the audit log, and still in the region's database. */
export type KillFaultPoint = 'kill.moved';

/** With the migrations' lock held. */
export type SetUpFaultPoint = 'migrate.locked';

/** An act has answered, and its idempotency key is not settled. */
export type ActFaultPoint = 'act.answered';

export type FaultPoint =
  ActFaultPoint | RunFaultPoint | RolloutFaultPoint | TripFaultPoint | KillFaultPoint | SetUpFaultPoint;

type Listener = (point: FaultPoint) => void | Promise<void>;

let listener: Listener | undefined;

export function onFaultPoint(next: Listener | undefined): void {
  listener = next;
}

export async function faultPoint(point: FaultPoint): Promise<void> {
  if (listener !== undefined) await listener(point);
}
