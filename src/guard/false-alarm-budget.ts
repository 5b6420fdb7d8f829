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

/** The most trips in a year, on average, when nothing is ever wrong (GUARD.md section 4). */
export function falseTripsAYear(sources: AlarmSources): number {
  const { regions, runsAYear, releasesAYear, runAlphas, outcomeAlphas } = sources;
  return regions * (runsAYear * sum(runAlphas) + releasesAYear * sum(outcomeAlphas));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
