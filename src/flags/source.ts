import type { Admissions } from './admission.js';
import type { ClosedCode } from './definition.js';
import type { FlagRepository } from './flag-repository.js';

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

/**
 * Where flags come from. `start` resolves when the source was first heard, or when it is plain that this
 * takes longer; it never throws for a source that is away, and goes on trying until `stop`.
 */
export interface FlagSource {
  readonly name: string;
  readonly repository: FlagRepository;
  /** How far versions are admitted, as last heard. `state` speaks for these too. */
  readonly admissions: Admissions;
  start(): Promise<void>;
  stop(): Promise<void>;
  state(): SourceState;
  /** Answers a function that ends the subscription. */
  onChange(listener: ChangeListener): () => void;
}

/** How far versions are admitted, for a source whose flags are elsewhere. Behaves as a {@link FlagSource} does. */
export type AdmissionFeed = Pick<FlagSource, 'admissions' | 'start' | 'stop' | 'state' | 'onChange'>;

/** The state of two that are needed both: as old as the older one, with the problem of either. */
export function bothStates(one: SourceState, other: SourceState): SourceState {
  const troubled = [one, other].find(({ problem }) => problem !== undefined);
  const polled = [one.polledMs, other.polledMs].flatMap((ms) => ms ?? []);
  return {
    heardAgeMs: Math.max(one.heardAgeMs, other.heardAgeMs),
    ...(troubled?.problem && { problem: troubled.problem, problemAgeMs: troubled.problemAgeMs ?? 0 }),
    ...(polled.length > 0 && { polledMs: Math.max(...polled) }),
  };
}
