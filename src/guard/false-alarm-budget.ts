/** How often rules run, and how often each may be wrong. */
export interface AlarmSources {
  readonly regions: number;
  /** Runs of the job in one region. */
  readonly runsAYear: number;
  readonly releasesAYear: number;
  /** The alphas of all `count` rules and of all `rate` rules: each judges every run. */
  readonly runAlphas: readonly number[];
  /** The alphas of all `outcome` rules: each judges every release once in each region. */
  readonly outcomeAlphas: readonly number[];
}

/** The most trips in a year, on average, when nothing is ever wrong (docs/reference/guard.md). */
export function falseTripsAYear(sources: AlarmSources): number {
  const { regions, runsAYear, releasesAYear, runAlphas, outcomeAlphas } = sources;
  return regions * (runsAYear * sum(runAlphas) + releasesAYear * sum(outcomeAlphas));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Whether so many events are more than such a mean brings about, but with a chance of `p` (Poisson's). */
export function isMoreThan(events: number, mean: number, p: number): boolean {
  let [chance, fewer] = [Math.exp(-mean), 0];
  for (let each = 0; each < events; each += 1) {
    fewer += chance;
    chance *= mean / (each + 1);
  }
  return 1 - fewer < p;
}
