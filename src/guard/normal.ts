// Coefficients of Wichura, "The percentage points of the normal distribution" (AS 241, PPND7): seven digits.
const CENTRAL = [59.109_374_72, 159.291_132_02, 50.434_271_938, 3.387_132_717_9] as const;
const CENTRAL_UNDER = [67.187_563_6, 78.757_757_664, 17.895_169_469, 1] as const;
const MIDDLE = [0.170_238_211_03, 1.306_728_481_6, 2.756_815_390, 1.423_437_277_7] as const;
const MIDDLE_UNDER = [0.120_211_329_75, 0.737_001_642_5, 1] as const;

function polynomial(x: number, coefficients: readonly number[]): number {
  return coefficients.reduce((value, coefficient) => value * x + coefficient, 0);
}

/** The standard normal's quantile of p, clipped to ±`most`, which is at most 5. */
export function normalQuantile(p: number, most: number): number {
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
