import { formatDurationMs } from '../kernel/duration.js';
import type { RunProgress } from '../worker/run-loop.js';
import { bar } from './progress.js';
import { total } from './wording.js';

/** Sooner than that, what is left cannot be told. */
const ESTIMATE_AFTER_MS = 2_000;

/** Keeps account of how far the restoring of some runs is, and says it in a line. */
export class RestoreAccount {
  readonly #runs: number;
  readonly #nowMs: () => number;
  #run = 0;
  #planned = 0;
  #written = 0;
  #phase: 'waiting' | 'planning' | 'restoring' = 'planning';
  #startedMs = 0;

  constructor(runs: number, nowMs: () => number = () => performance.now()) {
    this.#runs = runs;
    this.#nowMs = nowMs;
  }

  /** The next run is begun. */
  next(): void {
    this.#run += 1;
    this.#phase = 'planning';
    this.#planned = 0;
    this.#written = 0;
  }

  wait(): void {
    this.#phase = 'waiting';
  }

  hear(progress: RunProgress): void {
    if (progress.phase === 'planning') {
      this.#phase = 'planning';
    } else if (progress.phase === 'applying') {
      this.#phase = 'restoring';
      this.#planned = total(progress.planned);
      this.#written = 0;
      this.#startedMs = this.#nowMs();
    } else {
      this.#phase = 'restoring';
      this.#written += progress.written.applied + progress.written.conflicts;
    }
  }

  text(): string {
    const which = this.#runs > 1 ? `run ${this.#run} of ${this.#runs}: ` : '';
    switch (this.#phase) {
      case 'waiting':
        return `${which}waiting for its former worker's lease to end`;
      case 'planning':
        return `${which}planning`;
      case 'restoring':
        return `${which}restoring  ${bar(this.#written, this.#planned)}${this.#left()}`;
    }
  }

  #left(): string {
    const tookMs = this.#nowMs() - this.#startedMs;
    if (tookMs < ESTIMATE_AFTER_MS || this.#written === 0 || this.#planned === 0) return '';
    return `, ${formatDurationMs((tookMs / this.#written) * (this.#planned - this.#written))} left`;
  }
}
