/** How a rule's figures are written for people. */

// One for all: making one takes longer than judging a count.
const GROUPED = new Intl.NumberFormat('en-GB');

/** `4,812`; below 10 with two digits, as an expectation may be: `0.35`. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? 'without bound' : 'none';
  // What is written alike without groups, which takes a tenth of the time.
  if (value >= 10 && value < 999.5) return String(Math.round(value));
  if (value >= 0.01 && value < 9.95) return String(Number(value.toPrecision(2)));
  const rounded = value >= 10 ? Math.round(value) : Number(value.toPrecision(2));
  return GROUPED.format(rounded);
}

/** A chance, given as its logarithm: `3e-9`, `0.012`. Also where it is too small for a number. */
export function chance(lnP: number): string {
  if (lnP === -Infinity) return '0';
  if (lnP > Math.log(0.000_95)) return String(Number(Math.exp(lnP).toPrecision(2)));
  const exponent = Math.floor(lnP / Math.LN10);
  const mantissa = Number(Math.exp(lnP - exponent * Math.LN10).toPrecision(2));
  return mantissa === 10 ? `1e${exponent + 1}` : `${mantissa}e${exponent}`;
}
