/** Levels that have shifted, and that a person has accepted as the new usual (docs/reference/guard.md). */
import type { PlacedRun } from './count-history.js';

export interface Shift {
  /** The first run after it, in milliseconds since 1970. */
  readonly since: number;
  /** The new level over what history says it is. */
  readonly times: number;
  /** How many runs have told. */
  readonly runs: number;
}

/** Levels that differ by less are taken for the same. */
const SAME = { from: 0.8, to: 1.2 };
const FEWEST_ACCEPTED = 2;
/** The least evidence for a shift, in nats. */
const LN_EVIDENCE = 5;

/** Ratios between what runs planned and what they were to plan. */
interface Told {
  readonly run: PlacedRun;
  readonly mean: number;
  readonly k: number;
  readonly clipped: number;
  readonly acceptedBeyond: 'most' | 'least' | null;
}

/**
 * The shift that holds after `latest`, if there is one: from an accepted run that was beyond the limits on, with
 * another such on the same side. A shift that held for the run before goes on. `meanOf` is what history expects of
 * a run now.
 */
export function shiftAfter(
  latest: readonly PlacedRun[],
  meanOf: (run: PlacedRun) => number,
): Shift | undefined {
  const since = latest.at(-1)?.state?.shiftedSince ?? null;
  const told = latest.flatMap((run): Told[] => {
    const usual = run.state?.usual;
    if (!usual || !(usual.mean > 0)) return [];
    return [{ run, ...usual, acceptedBeyond: run.accepted === true ? usual.beyond : null }];
  });
  if (since !== null) {
    const shift = shiftOf(
      told.filter(({ run }) => run.atMs >= since),
      since,
      meanOf,
    );
    if (shift) return shift;
  }
  for (const [at, { run, acceptedBeyond }] of told.entries()) {
    if (acceptedBeyond === null) continue;
    const suffix = told.slice(at);
    const same = suffix.filter((each) => each.acceptedBeyond === acceptedBeyond);
    if (same.length < FEWEST_ACCEPTED || !isShifted(suffix, acceptedBeyond)) continue;
    return shiftOf(suffix, run.atMs, meanOf);
  }
  return undefined;
}

function isShifted(suffix: readonly Told[], beyond: 'most' | 'least'): boolean {
  const times = median(suffix.map(({ clipped, mean }) => clipped / mean));
  if (beyond === 'most' ? times <= SAME.to : times >= SAME.from) return false;
  const floored = Math.max(times, 1e-3);
  const evidence = suffix.reduce(
    (sum, { clipped, mean, k }) =>
      sum + clipped * Math.log(floored) - (clipped + k) * Math.log((k + floored * mean) / (k + mean)),
    0,
  );
  return evidence > LN_EVIDENCE;
}

function shiftOf(
  suffix: readonly Told[],
  since: number,
  meanOf: (run: PlacedRun) => number,
): Shift | undefined {
  const ratios = suffix.flatMap(({ run }) => {
    const mean = meanOf(run);
    return mean > 0 ? [run.count / mean] : [];
  });
  if (ratios.length === 0) return undefined;
  const times = median(ratios);
  if (times >= SAME.from && times <= SAME.to) return undefined;
  return { since, times: Math.max(times, 1e-3), runs: ratios.length };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}
