import { randomUUID } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import type { TokenHolder } from '../access/tokens.js';
import type { Log } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';

/** What becomes known of a request on its way through. */
export interface Exchange {
  readonly id: string;
  /** The pattern of the route that took it: a label, and so never the path itself. */
  route: string;
  caller: TokenHolder | undefined;
  /** What went wrong, for the log alone. */
  thrown: unknown;
  /** When a stream began to be answered, which is what its caller waited for. */
  streamingMs: number | undefined;
}

const exchanges = new WeakMap<Request, Exchange>();

export function exchangeOf(request: Request): Exchange {
  const exchange = exchanges.get(request);
  if (exchange === undefined) throw new Error('the request has not passed openExchange');
  return exchange;
}

/** An id from outside goes into our log and headers, so it must be short and plain; any other is replaced. */
const FOREIGN_ID = /^[\w.-]{1,64}$/;
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/**
 * Gives each request its id (the caller's `x-request-id` where that is plain, else a new one), and when it is
 * over writes one line of log and one measurement. Neither holds a header, a query or a body.
 */
export function openExchange(metrics: Metrics, log: Log): RequestHandler {
  return (request, response, next) => {
    const startedMs = performance.now();
    const given = request.get('x-request-id');
    const id = given !== undefined && FOREIGN_ID.test(given) ? given : randomUUID();
    const exchange: Exchange = {
      id,
      route: 'unmatched',
      caller: undefined,
      thrown: undefined,
      streamingMs: undefined,
    };
    exchanges.set(request, exchange);
    response.setHeader('x-request-id', id);
    response.once('close', () => {
      const method = METHODS.has(request.method) ? request.method : 'OTHER';
      const { route, caller, thrown, streamingMs } = exchange;
      const status = response.statusCode;
      const durationMs = performance.now() - startedMs;
      metrics.httpRequest({
        method,
        route,
        status,
        durationMs: (streamingMs ?? performance.now()) - startedMs,
      });
      log[levelOf(method, status)](
        {
          requestId: id,
          method,
          route,
          status,
          durationMs: Math.round(durationMs),
          ...(caller && { caller: caller.name }),
          ...(!response.writableFinished && { aborted: true }),
          ...(thrown !== undefined && { err: thrown }),
        },
        'http request',
      );
    });
    next();
  };
}

/** Reading is everyday; changing something, or failing to answer, is not. */
function levelOf(method: string, status: number): 'debug' | 'info' | 'warn' | 'error' {
  if (status === 503) return 'warn';
  if (status >= 500) return 'error';
  return method === 'GET' || method === 'HEAD' ? 'debug' : 'info';
}
