import type { RunProgress } from '../worker/run-loop.js';
import { bar } from './progress.js';
import { total } from './wording.js';

/** Keeps account of a run's progress and says it in a line. */
export class RunAccount {
  #planned = 0;
  #written = 0;
  #phase: 'electing' | 'planning' | 'applying' = 'electing';

  hear(progress: RunProgress): void {
    if (progress.phase === 'batch') {
      this.#written += progress.written.applied + progress.written.conflicts;
      return;
    }
    this.#phase = progress.phase;
    if (progress.phase === 'applying') this.#planned = total(progress.planned);
  }

  get planned(): number {
    return this.#planned;
  }

  get written(): number {
    return this.#written;
  }

  text(): string {
    if (this.#phase === 'applying') return `applying  ${bar(this.#written, this.#planned)}`;
    return this.#phase === 'planning' ? 'planning' : 'starting the run';
  }
}
