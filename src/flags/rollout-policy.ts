import { PortcullisError } from '../kernel/errors.js';
import { type WeeklyWindow, parseWeeklyWindow } from '../kernel/weekly-window.js';
import { milliseconds, permille } from './policy-values.js';
import type { RolloutDocument } from './rollout-document.js';

/** What a step needs in each region before the next. All three, and every rule passing. */
export interface Bake {
  readonly runs: number;
  readonly changes: number;
  readonly timeMs: number;
}

export interface Wave {
  readonly name: string;
  readonly regions: readonly string[];
  /** The candidate's share in thousandths, growing, 1000 last. */
  readonly stepsPermille: readonly number[];
  readonly bake: Bake;
  /** How many others must agree before the wave begins. */
  readonly approvals: number;
}

/** A time in which nothing is promoted: from, and up to but not including. */
export interface Freeze {
  readonly from: Date;
  readonly until: Date;
  readonly reason: string;
}

/** By which waves and steps a new version is admitted. Every region of the policy is in exactly one wave. */
export interface RolloutPolicy {
  readonly waves: readonly Wave[];
  /** When promotions may happen; empty: always. */
  readonly windows: readonly WeeklyWindow[];
  readonly freezes: readonly Freeze[];
}

/** The rollout of a document that the schema has let through. */
export function typedRollout({ waves, windows, freezes }: RolloutDocument): RolloutPolicy {
  return {
    waves: waves.map(({ name, regions, steps, bake, approvals }) => ({
      name,
      regions,
      stepsPermille: steps.map(permille),
      bake: { runs: bake.runs, changes: bake.changes, timeMs: milliseconds(bake.time) },
      approvals,
    })),
    windows: windows.map(({ only }) => checkedWindow(only)),
    freezes: freezes.map(({ from, until, reason }) => ({
      from: new Date(from),
      until: new Date(until),
      reason,
    })),
  };
}

function checkedWindow(text: string): WeeklyWindow {
  const window = parseWeeklyWindow(text);
  if ('fault' in window) throw new PortcullisError('INTERNAL', `${text} was taken for a window`);
  return window;
}
