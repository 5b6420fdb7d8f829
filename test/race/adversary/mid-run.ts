import { AsyncLocalStorage } from 'node:async_hooks';
import { onFaultPoint, type FaultPoint } from '../../../src/kernel/fault-point.js';
import { bounded } from '../schedules/bounded.js';
import type { Points } from './schedule.js';

/** Where a run holds no lock that anybody else could wait for. */
const PAUSES: ReadonlySet<FaultPoint> = new Set([
  'run.elected',
  'plan.started',
  'plan.judged',
  'plan.committed',
  'apply.before-fence',
  'apply.committed',
  'run.before-finish',
]);

const END_MS = 60_000;
const within = new AsyncLocalStorage<MidRun>();

/** Hands every fault point to the run that has come to it. To be called once. */
export function watchFaultPoints(): void {
  onFaultPoint(async (point) => {
    if (PAUSES.has(point)) await within.getStore()?.reach();
  });
}

/** One run at a time, which stands still at the fault points where it is told to. */
export class MidRun {
  private allowance = 0;
  private go: (() => void) | undefined;
  private running: Promise<unknown> = Promise.resolve();
  private changed: () => void = () => undefined;
  /** What runs threw. */
  readonly errors: unknown[] = [];

  /** Answers when the run stands still, or is over. */
  async start(work: () => Promise<unknown>, points: Points): Promise<void> {
    await this.proceed('all');
    this.allowance = points === 'all' ? Infinity : points;
    this.running = within.run(this, work).catch((error: unknown) => this.errors.push(error));
    await this.still();
  }

  async proceed(points: Points): Promise<void> {
    this.allowance = points === 'all' ? Infinity : points;
    this.go?.();
    await this.still();
  }

  private async still(): Promise<void> {
    const paused = new Promise<void>((resolve) => (this.changed = resolve));
    if (this.go !== undefined) return;
    await bounded(END_MS, () => 'a run', Promise.race([paused, this.running]));
  }

  async reach(): Promise<void> {
    if (this.allowance > 0) {
      this.allowance -= 1;
      return;
    }
    await new Promise<void>((go) => {
      this.go = () => {
        this.go = undefined;
        go();
      };
      this.changed();
    });
  }
}
