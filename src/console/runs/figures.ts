import { number } from '../../kernel/words.js';
import type { Output } from '../outputs.js';

export type Verdict = Output<'listRunVerdicts'>['verdicts'][number];

/** One of the figures that a rule judged by. */
export function figureOf(verdict: Verdict | undefined, name: string): number | undefined {
  const value = verdict?.figures[name];
  return typeof value === 'number' ? value : undefined;
}

/** `2.4`, `1,310`. */
export const figure = (value: number): string =>
  number(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
