import { z } from 'zod';
import { METRICS_CONTENT_TYPE } from '../telemetry/metrics.js';
import { operation } from './operation.js';
import { Health, Readiness } from './schemas.js';

/** What machines ask of the process itself. These need no token. */
export const processOperations = {
  getMetrics: operation({
    at: 'GET /metrics',
    compressed: true,
    example: {},
    summary: 'Measurements, in the Prometheus text format',
    action: 'anyone',
    result: z.string(),
    contentType: METRICS_CONTENT_TYPE,
    run: ({ metrics }) => metrics.text(),
  }),
  getHealth: operation({
    at: 'GET /healthz',
    example: {},
    summary: 'Whether the process is up',
    action: 'anyone',
    result: Health,
    run: () => ({ status: 'up' as const }),
  }),
  getReadiness: operation({
    at: 'GET /readyz',
    example: {},
    summary: 'Whether the process can do its work, and if not, why',
    action: 'anyone',
    result: Readiness,
    statuses: [200, 503],
    statusOf: ({ status }) => (status === 'ready' ? 200 : 503),
    run: async ({ readiness }) => {
      const reasons = await readiness();
      return { status: reasons.length === 0 ? ('ready' as const) : ('not-ready' as const), reasons };
    },
  }),
};
