import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { z } from 'zod';
import { recordRefusal } from '../access/refusals.js';
import { ERRORS, PortcullisError, messageOf } from '../kernel/errors.js';
import { authenticate } from './authenticate.js';
import type { HttpDeps } from './deps.js';
import { exchangeOf, openExchange } from './exchange.js';
import { openApiOf } from './openapi.js';
import { PROBLEM_TYPE, knownError, problemOf } from './problem.js';
import { needsToken, route, type Route } from './route.js';
import { routerOf } from './router.js';
import { alertRoutes } from './routes/alerts.js';
import { approvalRoutes } from './routes/approvals.js';
import { flagRoutes } from './routes/flags.js';
import { incidentRoutes } from './routes/incidents.js';
import { jobAndGateRoutes } from './routes/jobs-and-gates.js';
import { databaseRoutes } from './routes/databases.js';
import { killRoutes } from './routes/kills.js';
import { notificationRoutes } from './routes/notifications.js';
import { operationRoutes } from './routes/operations.js';
import { outcomeRoutes } from './routes/outcomes.js';
import { peopleRoutes } from './routes/people.js';
import { recordRoutes } from './routes/record.js';
import { restoreRoutes } from './routes/restores.js';
import { rolloutRoutes } from './routes/rollouts.js';
import { runRoutes } from './routes/runs.js';

/** The version of the API, in its address. */
const API_VERSION = '1.0.0';

/** The table of routes. */
export function routesOf(deps: HttpDeps): readonly Route[] {
  const routes: Route[] = [
    ...operationRoutes(deps),
    ...jobAndGateRoutes(deps),
    ...flagRoutes(deps),
    ...rolloutRoutes(deps),
    ...killRoutes(deps),
    ...databaseRoutes(deps),
    ...approvalRoutes(deps),
    ...peopleRoutes(deps),
    ...runRoutes(deps),
    ...restoreRoutes(deps),
    ...incidentRoutes(deps),
    ...recordRoutes(deps),
    ...notificationRoutes(deps),
    ...outcomeRoutes(deps),
    ...alertRoutes(deps),
    route({
      method: 'get',
      path: '/api/v1/openapi.json',
      operationId: 'getOpenApi',
      summary: 'The OpenAPI document of this API',
      action: 'read',
      result: z.looseObject({ openapi: z.string() }),
      handle: () => document,
    }),
  ];
  const document = { openapi: '', ...openApiOf(routes, API_VERSION) };
  return routes;
}

/**
 * The HTTP server's application. Everything under `/api` is mounted behind the check of the bearer token, so
 * that no route of the API can be reached, or even found missing, without one.
 */
export function createHttpApp(deps: HttpDeps): Express {
  const routes = routesOf(deps);
  const app = express();
  app.set('case sensitive routing', true);
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.use(openExchange(deps.metrics, deps.log.child({ component: 'http' })));
  app.use(helmet());
  app.use('/api', noStore, authenticate(deps.control));
  app.use(
    '/api',
    routerOf(
      routes.filter(({ path }) => needsToken(path)),
      '/api',
    ),
  );
  app.use('/login', noStore);
  app.use(routerOf(routes.filter(({ path }) => !needsToken(path))));
  app.use(notFound);
  app.use(noteRefusal(deps));
  app.use(answerError);
  return app;
}

const noStore: RequestHandler = (_request, response, next) => {
  response.setHeader('cache-control', 'no-store');
  next();
};

const notFound: RequestHandler = (request) => {
  throw new PortcullisError('NOT_FOUND', `not found: ${request.path}`, {
    hint: 'the addresses are listed in /api/v1/openapi.json',
  });
};

/** What somebody known tried and may not do is put on record; that it could not be is for the log alone. */
function noteRefusal({ control, log }: HttpDeps): ErrorRequestHandler {
  return async (thrown: unknown, request, _response, next) => {
    if (exchangeOf(request).caller !== undefined) {
      await recordRefusal(control, thrown).catch((error: unknown) => {
        log.error({ code: 'audit-unwritten', err: error }, `audit: ${messageOf(error)}`);
      });
    }
    next(thrown);
  };
}

const RETRY_AFTER_S = '5';

/** Four parameters, or Express does not take it for an error handler. */
const answerError: ErrorRequestHandler = (thrown: unknown, request, response, next) => {
  const error = knownError(thrown);
  const exchange = exchangeOf(request);
  const { status } = ERRORS[error.code];
  if (status >= 500) exchange.thrown = thrown;
  if (response.headersSent) {
    next(thrown);
    return;
  }
  if (error.code === 'TOKEN_MISSING') response.set('www-authenticate', 'Bearer realm="portcullis"');
  if (error.code === 'TOKEN_REFUSED') {
    response.set('www-authenticate', 'Bearer realm="portcullis", error="invalid_token"');
  }
  if (status === 503) response.set('retry-after', RETRY_AFTER_S);
  response.status(status).set('content-type', PROBLEM_TYPE);
  response.send(JSON.stringify(problemOf(error, exchange.id)));
};
