import { measureCount } from './guard-count.js';
import type { GuardFigure } from './guard-figures.js';
import { cost, drifts, levels, outages } from './guard-levels.js';
import { measureOutcome } from './guard-outcome.js';
import { measureRate } from './guard-rate.js';
import { officeHours, oftenIdle, quarterHours, weekdays } from './guard-rhythms.js';
import { healthyYear } from './guard-year.js';

const SEED = '2021-02-10';
const REPETITIONS = 20_000;
/** Each learns from a history of its own, which takes longer. */
const STEADY_REPETITIONS = 1_000;
/** So many that a figure near its reach is known to a tenth or so. */
const RHYTHMS = [
  { measure: oftenIdle, repetitions: 80 },
  { measure: officeHours, repetitions: 30 },
  { measure: weekdays, repetitions: 120 },
  { measure: quarterHours, repetitions: 30 },
  { measure: levels, repetitions: 20 },
  { measure: outages, repetitions: 40 },
  { measure: drifts, repetitions: 60 },
  { measure: cost, repetitions: 1 },
];

export interface GuardResult {
  readonly name: 'guard';
  readonly ok: boolean;
  readonly seed: string;
  readonly figures: readonly GuardFigure[];
}

/** The guard's statistics, simulated: what each rule reaches beside the bound that it must keep. Needs no server. */
export const guard = {
  name: 'guard',
  measure(progress: (text: string) => void): GuardResult {
    const figures = [
      ...measureOutcome(SEED, REPETITIONS, progress),
      ...measureRate(SEED, REPETITIONS, progress),
      ...measureCount(SEED, STEADY_REPETITIONS, progress),
      ...RHYTHMS.flatMap(({ measure, repetitions }) => {
        progress(`count, ${measure.name}`);
        return measure({ seed: SEED, repetitions });
      }),
      ...healthyYear(SEED, progress),
    ];
    return { name: 'guard', ok: figures.every(({ ok }) => ok), seed: SEED, figures };
  },
} as const;
