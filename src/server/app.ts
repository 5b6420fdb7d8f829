import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler } from 'express';
import helmet from 'helmet';
import { recordRefusal } from '../access/refusals.js';
import { ERRORS, PortcullisError, messageOf } from '../kernel/errors.js';
import { within } from '../kernel/within.js';
import { authenticate, type SignInOptions } from './authenticate.js';
import { consoleRouter } from './console.js';
import type { OperationContext } from '../operations/context.js';
import { operationList } from '../operations/list.js';
import { needsToken } from '../operations/operation.js';
import { PROBLEM_TYPE } from '../operations/schemas.js';
import { exchangeOf, openExchange } from './exchange.js';
import { KnownCallers } from './known-callers.js';
import { knownError, problemOf } from './problem.js';
import { routeOf, routerOf, type Route } from './router.js';
import { sessionRouter } from './session.js';
import { slackRouter, type SlackOptions } from './slack.js';

/** Every operation, at its address. */
export const ROUTES: readonly Route[] = operationList.map(routeOf);

export interface HttpAppOptions extends SignInOptions {
  /** The folder of the console's files; absent: there is no console. */
  readonly console?: string | undefined;
  /** The Slack apps whose buttons act here; absent: none. */
  readonly slack?: SlackOptions | undefined;
  /** Who is known while the control database does not answer; whoever gives them has them rechecked. */
  readonly known?: KnownCallers | undefined;
}

/**
 * The HTTP server's application. Everything under `/api` is mounted behind the check of the bearer token or the
 * session's cookie, so that no route of the API can be reached, or even found missing, without one.
 */
export function createHttpApp(context: OperationContext, options: HttpAppOptions = {}): Express {
  const app = express();
  const known = options.known ?? new KnownCallers();
  app.set('case sensitive routing', true);
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.use(openExchange(context.metrics, context.log.child({ component: 'http' })));
  app.use(helmet());
  app.use('/api', noStore, authenticate(context.control, options, known, stopsSomething));
  app.use(
    '/api',
    routerOf(
      context,
      ROUTES.filter(({ operation }) => needsToken(operation)),
      '/api',
    ),
  );
  app.use('/session', noStore, sessionRouter(context.control, known, options));
  if (options.slack !== undefined) app.use('/slack', noStore, slackRouter(context, options.slack));
  app.use(['/login', '/exchange'], noStore);
  app.use(
    routerOf(
      context,
      ROUTES.filter(({ operation }) => !needsToken(operation)),
    ),
  );
  if (options.console !== undefined) app.use(consoleRouter(options.console, options));
  app.use(notFound);
  app.use(noteRefusal(context));
  app.use(answerError);
  return app;
}

/** What the operations match that do without the control database. */
const STOPS = ROUTES.filter(({ operation }) => operation.withoutControl).map(({ method, path }) => ({
  method: method.toUpperCase(),
  path: new RegExp(`^${path.replaceAll(/:\w+/g, '[^/]+')}$`),
}));

function stopsSomething({ method, baseUrl, path }: Request): boolean {
  return STOPS.some((each) => each.method === method && each.path.test(baseUrl + path));
}

/** How long an answer waits for the refusal in it to be put on record. */
const RECORDED_MS = 2_000;

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
function noteRefusal({ control, log }: OperationContext): ErrorRequestHandler {
  return async (thrown: unknown, request, _response, next) => {
    if (exchangeOf(request).caller !== undefined) {
      const record = (): Promise<void> => recordRefusal(control, thrown);
      await within(RECORDED_MS, record, () => new Error('the audit log was not reached')).catch(
        (error: unknown) => {
          log.error({ code: 'audit-unwritten', err: error }, `audit: ${messageOf(error)}`);
        },
      );
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
  if (error.code === 'TOKEN_REFUSED' && exchange.route !== '/session') {
    response.set('www-authenticate', 'Bearer realm="portcullis", error="invalid_token"');
  }
  if (status === 503) response.set('retry-after', RETRY_AFTER_S);
  response.status(status).set('content-type', PROBLEM_TYPE);
  response.send(JSON.stringify(problemOf(error, exchange.id)));
};
