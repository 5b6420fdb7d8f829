import { setTimeout } from 'node:timers/promises';
import type { ClosedCode } from './definition.js';

/** Why a source has nothing good to say. */
export interface SourceProblem {
  readonly code: Extract<ClosedCode, 'flag-unauthorised' | 'flag-malformed' | 'flag-unreachable'>;
  readonly reason: string;
}

export interface SourceState {
  /** Since the source last confirmed what the repository holds; Infinity where it never has. */
  readonly heardAgeMs: number;
  /** What is wrong since then. Gone as soon as the source is heard again. */
  readonly problem?: SourceProblem;
  /** Since when something is wrong; there where `problem` is. */
  readonly problemAgeMs?: number;
  /** How often the source is asked; absent: it tells of changes by itself. */
  readonly polledMs?: number;
}

/** Told the names of the flags that changed; an empty list where only the source's state did. */
export type ChangeListener = (changed: readonly string[]) => void;

/** Milliseconds on a clock that never steps. */
export type MonotonicClock = () => number;

export const monotonicMs: MonotonicClock = () => performance.now();

/** When a source was last heard, what is wrong since, and who wants to know. */
export class Hearing {
  readonly #now: MonotonicClock;
  readonly #listeners = new Set<ChangeListener>();
  readonly #spoken = new AbortController();
  #heardAtMs = -Infinity;
  #problem: SourceProblem | undefined;
  #problemAtMs = 0;

  constructor(now: MonotonicClock = monotonicMs) {
    this.#now = now;
  }

  now(): number {
    return this.#now();
  }

  /** The source answered a question asked at `askedAtMs`: what it said was true then, and perhaps not since. */
  heard(askedAtMs: number, changed: readonly string[]): void {
    const recovered = this.#problem !== undefined;
    this.#heardAtMs = Math.max(this.#heardAtMs, askedAtMs);
    this.#problem = undefined;
    this.#spoken.abort();
    if (recovered || changed.length > 0) this.#tell(changed);
  }

  trouble(problem: SourceProblem): void {
    const news = this.#problem?.code !== problem.code;
    if (this.#problem === undefined) this.#problemAtMs = this.#now();
    this.#problem = problem;
    this.#spoken.abort();
    if (news) this.#tell([]);
  }

  /** Resolves at the first word of the source or the first trouble with it, or after `limitMs`. */
  async first(limitMs: number): Promise<void> {
    await setTimeout(limitMs, undefined, { signal: this.#spoken.signal }).catch(() => undefined);
  }

  state(): SourceState {
    return {
      heardAgeMs: this.#now() - this.#heardAtMs,
      ...(this.#problem !== undefined && {
        problem: this.#problem,
        problemAgeMs: this.#now() - this.#problemAtMs,
      }),
    };
  }

  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(changed: readonly string[]): void {
    for (const listener of [...this.#listeners]) listener(changed);
  }
}
