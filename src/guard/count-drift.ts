/** The second rule of a count: levels that creep up, no single run of which stands out (docs/reference/guard.md). */

/**
 * Evidence for a mean that is δ spreads higher, for each δ of {½, 1, 2}, since whenever it fits best (Shiryaev and
 * Roberts'); and how alike neighbouring runs are: sums of z·z′ and z² that forget, and the last z.
 */
export type DriftState = readonly [
  half: number,
  one: number,
  two: number,
  lagged: number,
  squared: number,
  last: number,
];

export const NO_DRIFT: DriftState = [0, 0, 0, 0, 0, 0];

const SHIFTS = [0.5, 1, 2] as const;
/** A surprise counts for no more spreads than this: a spike is the other rule's. */
const CLIPPED = 3;
/** How much of what neighbours have in common each run forgets. */
const KEPT = 0.998;
/** Runs that are as alike as this say next to nothing each. */
const MOST_ALIKE = 0.95;
/** A false alarm in ten times as many runs as the rule of single runs has. */
const RARER = 10;
/** Evidence grows no further: a larger number changes no verdict, and JSON has no infinity. */
const MOST = 1e15;

/** How far out a count is in spreads, by the chances of as many or more and of exactly as many. */
export function surpriseOf(lnAtLeast: number, chance: number): number {
  return -normalQuantile(Math.max(0, Math.exp(lnAtLeast) - chance / 2), CLIPPED);
}

/** The state after a run that was so far out; before there is history enough only likeness is learned. */
export function stepDrift(state: DriftState, z: number, isJudged: boolean): DriftState {
  const [half, one, two, lagged, squared, last] = state;
  // Less a standard error, by which neighbours that have nothing in common look alike in a sixth of all histories.
  const rho = squared > 0 ? Math.min(MOST_ALIKE, Math.max(0, (lagged - Math.sqrt(squared)) / squared)) : 0;
  const weight = (1 - rho) / (1 + rho);
  const grown = (evidence: number, delta: number): number =>
    isJudged ? Math.min(MOST, (1 + evidence) * Math.exp(weight * (delta * z - delta ** 2 / 2))) : 0;
  return [
    grown(half, SHIFTS[0]),
    grown(one, SHIFTS[1]),
    grown(two, SHIFTS[2]),
    KEPT * lagged + z * last,
    KEPT * squared + z * z,
    z,
  ];
}

/** The same likeness, and no evidence: after an alarm that a person has accepted. */
export function withoutEvidence([, , , lagged, squared, last]: DriftState): DriftState {
  return [0, 0, 0, lagged, squared, last];
}

export function driftEvidence([half, one, two]: DriftState): number {
  return (half + one + two) / SHIFTS.length;
}

export function driftLimit(alpha: number): number {
  return RARER / alpha;
}

/** How often a healthy run is told to be none by both rules of a count together. */
export function withDrift(alpha: number): number {
  return alpha * (1 + 1 / RARER);
}

// Coefficients of Wichura, "The percentage points of the normal distribution" (AS 241, PPND7): seven digits.
const CENTRAL = [59.109_374_72, 159.291_132_02, 50.434_271_938, 3.387_132_717_9] as const;
const CENTRAL_UNDER = [67.187_563_6, 78.757_757_664, 17.895_169_469, 1] as const;
const MIDDLE = [0.170_238_211_03, 1.306_728_481_6, 2.756_815_390, 1.423_437_277_7] as const;
const MIDDLE_UNDER = [0.120_211_329_75, 0.737_001_642_5, 1] as const;

function polynomial(x: number, coefficients: readonly number[]): number {
  return coefficients.reduce((value, coefficient) => value * x + coefficient, 0);
}

/** The standard normal's quantile of p, clipped to ±`most`, which is at most 5. */
function normalQuantile(p: number, most: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180_625 - q * q;
    return (q * polynomial(r, CENTRAL)) / polynomial(r, CENTRAL_UNDER);
  }
  const tail = Math.min(p, 1 - p);
  if (!(tail > 0)) return q < 0 ? -most : most;
  const r = Math.sqrt(-Math.log(tail)) - 1.6;
  const value = Math.min(most, polynomial(r, MIDDLE) / polynomial(r, MIDDLE_UNDER));
  return q < 0 ? -value : value;
}
