import type { Metrics } from '../telemetry/metrics.js';
import type { Place } from '../telemetry/metrics/places.js';
import type { Judged } from './verdict.js';

/** What the rules said, and the figures that they said it on: those with a name of their own. */
export function measureVerdicts(metrics: Metrics, { job, region }: Place, judged: readonly Judged[]): void {
  for (const { rule, verdict, figures } of judged) {
    metrics.guardVerdict({ job, region, rule, verdict });
    for (const measure of ['p', 'lnE', 'observed', 'expected'] as const) {
      const value = figures[measure];
      if (typeof value === 'number') metrics.guardEvidence({ job, region, rule, measure, value });
    }
  }
}
