import { z } from 'zod';
import type { HttpDeps } from '../deps.js';
import { route, type Route } from '../route.js';
import { Health, Readiness } from '../schemas.js';

/** What machines ask of the process itself. These need no token. */
export function operationRoutes({ metrics, readiness }: HttpDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/metrics',
      operationId: 'getMetrics',
      summary: 'Measurements, in the Prometheus text format',
      action: 'anyone',
      result: z.string(),
      contentType: metrics.contentType,
      handle: () => metrics.text(),
    }),
    route({
      method: 'get',
      path: '/healthz',
      operationId: 'getHealth',
      summary: 'Whether the process is up',
      action: 'anyone',
      result: Health,
      handle: () => ({ status: 'up' as const }),
    }),
    route({
      method: 'get',
      path: '/readyz',
      operationId: 'getReadiness',
      summary: 'Whether the process can do its work, and if not, why',
      action: 'anyone',
      result: Readiness,
      statuses: [200, 503],
      statusOf: ({ status }) => (status === 'ready' ? 200 : 503),
      handle: async () => {
        const reasons = await readiness();
        return { status: reasons.length === 0 ? ('ready' as const) : ('not-ready' as const), reasons };
      },
    }),
  ];
}
