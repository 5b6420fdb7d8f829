import type { Admissions } from './admission.js';
import type { FlagRepository } from './flag-repository.js';
import type { ChangeListener, SourceState } from './hearing.js';

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
