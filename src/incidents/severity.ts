/** How much was changed that should not have been. */
export interface Extent {
  readonly units: number;
  readonly rows: number;
  /** Rows that the database deleted or changed with those. */
  readonly cascaded: number;
}

/**
 * How bad it is, the worst first: the first line whose units or rows are reached. What a run changed
 * counts, and not whether it has been put back since: a severity does not sink while people work on it.
 */
// prettier-ignore
export const SEVERITIES = [
  { severity: 'critical', units: 100, rows: 1_000, meaning: 'customers are hit widely: everyone is called, and the status page says so' },
  { severity: 'major',    units: 10,  rows: 100,   meaning: 'several customers are hit: restore at once' },
  { severity: 'minor',    units: 1,   rows: 1,     meaning: 'a canary was hit: restore within the day' },
  { severity: 'averted',  units: 0,   rows: 0,     meaning: 'nothing was changed: find out why it would have been' },
] as const;

export type Severity = (typeof SEVERITIES)[number]['severity'];

export function severityOf({ units, rows, cascaded }: Extent): Severity {
  const reached = SEVERITIES.find((each) => units >= each.units || rows + cascaded >= each.rows);
  return reached?.severity ?? 'averted';
}
