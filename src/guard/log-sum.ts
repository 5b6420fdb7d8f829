/** Sums of numbers that are given as logarithms, without leaving the logarithms. */

/** ln Σ e^x. The sum of nothing is 0, and its logarithm −∞. */
export function logSumExp(logarithms: readonly number[]): number {
  const largest = Math.max(...logarithms);
  if (!Number.isFinite(largest)) return largest;
  return largest + Math.log(logarithms.reduce((sum, each) => sum + Math.exp(each - largest), 0));
}

/** The logarithm of the mean: ln (Σ e^x / n). */
export function logMeanExp(logarithms: readonly number[]): number {
  return logSumExp(logarithms) - Math.log(logarithms.length);
}

/** ln(1 + e^x). */
export function logOnePlusExp(x: number): number {
  return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x));
}
