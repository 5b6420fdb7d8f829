import { measureCount } from './guard-count.js';
import { measureRhythms } from './guard-rhythms.js';
import type { GuardFigure } from './guard-figures.js';
import { measureOutcome } from './guard-outcome.js';
import { measureRate } from './guard-rate.js';

const SEED = '2021-02-10';
const REPETITIONS = 20_000;
/** Each learns from a history of its own, which takes longer. */
const STEADY_REPETITIONS = 3_000;
const RHYTHM_REPETITIONS = 40;

export interface GuardResult {
  readonly name: 'guard';
  readonly ok: boolean;
  readonly seed: string;
  readonly figures: readonly GuardFigure[];
}

/** The guard's statistics, simulated: what each rule reaches beside what GUARD.md asks of it. Needs no server. */
export const guard = {
  name: 'guard',
  measure(progress: (text: string) => void): GuardResult {
    const figures = [
      ...measureOutcome(SEED, REPETITIONS, progress),
      ...measureRate(SEED, REPETITIONS, progress),
      ...measureCount(SEED, STEADY_REPETITIONS, progress),
      ...measureRhythms(SEED, RHYTHM_REPETITIONS, progress),
    ];
    return { name: 'guard', ok: figures.every(({ ok }) => ok), seed: SEED, figures };
  },
} as const;
