import type { DriftState } from './count-drift.js';

/** What a count rule keeps of a run that it judged, for the runs after it. Plain JSON. */
export interface CountState {
  /** What was expected of it as levels were before any shift; null where nothing was. */
  readonly usual: UsualCount | null;
  /** When a shift of the level began that holds for it: the first run after it, in milliseconds since 1970. */
  readonly shiftedSince: number | null;
  readonly drift: DriftState;
  /** The mean of its baseline for one unit: by it, runs of long ago are brought to today's level. */
  readonly level?: number;
}

export interface UsualCount {
  readonly mean: number;
  readonly k: number;
  /** The count, brought to the limits where it was beyond. */
  readonly clipped: number;
  /** Beyond which limit it was; `most` also where it showed a drift. */
  readonly beyond: 'most' | 'least' | null;
}
