import { onFaultPoint, type FaultPoint } from '../../src/kernel/fault-point.js';

/** Calls `act` the `nth` time that a fault point is met. */
export function atPoint(point: FaultPoint, nth: number, act: () => Promise<unknown>): void {
  let met = 0;
  onFaultPoint(async (at) => {
    if (at !== point) return;
    met += 1;
    if (met === nth) await act();
  });
}
