import { Histogram, type Registry } from 'prom-client';

export interface HttpRequest {
  readonly method: string;
  /** The route's pattern, such as `/api/v1/runs/:id`; never the path that was asked for. */
  readonly route: string;
  readonly status: number;
  readonly durationMs: number;
}

export interface HttpMetrics {
  httpRequest(request: HttpRequest): void;
}

const HTTP_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function measureHttp(registry: Registry): HttpMetrics {
  const seconds = new Histogram({
    name: 'portcullis_http_request_duration_seconds',
    help: 'Time to answer an HTTP request.',
    labelNames: ['method', 'route', 'status'],
    buckets: HTTP_SECONDS,
    registers: [registry],
  });
  return {
    httpRequest({ method, route, status, durationMs }) {
      seconds.observe({ method, route, status }, durationMs / 1_000);
    },
  };
}
