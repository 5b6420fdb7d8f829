import type { Metrics } from '../telemetry/metrics.js';
import type { Place } from '../telemetry/metrics/places.js';
import type { Judged } from '../containment/verdict.js';

/** Of a rule's figures, those that a dashboard draws. */
const DRAWN = ['p', 'lnE', 'observed', 'expected', 'low', 'high', 'limit'] as const;

/** What the rules said, and the figures that they said it on. */
export function measureVerdicts(metrics: Metrics, { job, region }: Place, judged: readonly Judged[]): void {
  for (const { rule, verdict, figures } of judged) {
    metrics.guardVerdict({ job, region, rule, verdict });
    for (const measure of DRAWN) {
      const value = figures[measure];
      if (typeof value === 'number') metrics.guardEvidence({ job, region, rule, measure, value });
    }
  }
}
