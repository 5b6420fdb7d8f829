/**
 * Named places where a test may stop, delay or kill the process. Without a listener (that is, always in
 * production: nothing in `src` sets one) a fault point costs one comparison.
 */
export type FaultPoint =
  | 'run.elected'
  | 'plan.started'
  | 'plan.copied'
  | 'plan.before-commit'
  | 'plan.committed'
  | 'apply.before-fence'
  | 'apply.fenced'
  | 'apply.written'
  | 'apply.committed'
  | 'run.before-finish'
  | 'run.finished';

type Listener = (point: FaultPoint) => void | Promise<void>;

let listener: Listener | undefined;

export function onFaultPoint(next: Listener | undefined): void {
  listener = next;
}

export async function faultPoint(point: FaultPoint): Promise<void> {
  if (listener !== undefined) await listener(point);
}
