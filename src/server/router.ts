import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import express, {
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
  type Router,
} from 'express';
import type { TokenHolder } from '../access/tokens.js';
import { PortcullisError } from '../kernel/errors.js';
import { sendCompressed } from './compression.js';
import { exchangeOf } from './exchange.js';
import { STALLED_MS, Transfers } from './transfers.js';
import { knownError } from './problem.js';
import type { OperationContext } from '../operations/context.js';
import type { Followed } from '../operations/events.js';
import { IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED, once } from '../operations/idempotency.js';
import { type Archive } from '../operations/archive.js';
import { addressOf, mayBeEmpty, type Operation, type RawCall, type Reply } from '../operations/operation.js';

const BODY_LIMIT_BYTES = 64 * 1024;
const readJson = (limit = BODY_LIMIT_BYTES): RequestHandler =>
  express.json({ limit, type: ['application/json', 'application/*+json'] });

/** An operation at its address. */
export interface Route {
  readonly method: 'get' | 'post';
  /** In Express' form: `/api/v1/runs/:id`. */
  readonly path: string;
  readonly operationId: string;
  readonly action: Operation['action'];
  readonly operation: Operation;
}

export function routeOf([operationId, operation]: readonly [string, Operation]): Route {
  return { ...addressOf(operation), operationId, action: operation.action, operation };
}

/**
 * A router of these routes, each below `mount`, where it is to be used. A path that is known under another
 * method is METHOD_NOT_ALLOWED, with the methods it does take.
 */
export function routerOf(context: OperationContext, routes: readonly Route[], mount = ''): Router {
  const router = express.Router({ caseSensitive: true });
  const transfers = new Transfers(context.uploadBytes);
  for (const [path, group] of byPath(routes)) {
    const below = path.slice(mount.length);
    for (const each of group) {
      const steps: RequestHandler[] = [named(each.path)];
      const { body, bodyBytes } = each.operation;
      if (body !== undefined) steps.push(readJson(bodyBytes));
      router[each.method](
        below,
        ...steps,
        answer(context, each, transfers),
        admitFirst(context, each),
        tellUnread(context, each),
      );
    }
    router.all(below, named(path), refuse(allowed(group)));
  }
  return router;
}

/** Routes by path, a fixed segment before a parameter in its place: Express takes the first that matches. */
function byPath(routes: readonly Route[]): Map<string, Route[]> {
  const groups = new Map<string, Route[]>();
  const last = ({ path }: Route): string => path.replaceAll(':', '~');
  const ordered = [...routes].sort((one, other) => (last(one) < last(other) ? -1 : 1));
  for (const each of ordered) groups.set(each.path, [...(groups.get(each.path) ?? []), each]);
  return groups;
}

function named(path: string): RequestHandler {
  return (request, _response, next) => {
    exchangeOf(request).route = path;
    next();
  };
}

function answer(context: OperationContext, route: Route, transfers: Transfers): RequestHandler {
  const { operation } = route;
  return async (request, response) => {
    if (operation.kind === 'upload' || operation.kind === 'download') {
      await whileThere(response, (signal) => transfer(context, route, transfers, request, response, signal));
      return;
    }
    const call = {
      params: request.params,
      query: queryOf(request, operation),
      body: bodyOf(request, operation),
      caller: exchangeOf(request).caller,
    };
    const key = request.get(IDEMPOTENCY_KEY);
    if (key !== undefined && operation.keyed !== 'no' && call.caller !== undefined) {
      await answerOnce(context, route, { ...call, caller: call.caller }, requireKey(key), response);
      return;
    }
    const reply = await operation.answer(context, call);
    if (operation.kind === 'stream') {
      await sendLines(operation, response, reply as Reply<AsyncIterable<unknown>>);
      return;
    }
    response.status(reply.status).set('content-type', reply.contentType);
    if (operation.kind === 'follow') {
      exchangeOf(request).streamingMs = performance.now();
      await follow(response, reply.body as Followed);
      return;
    }
    if (operation.compressed) await sendCompressed(response, textOf(reply.body));
    else response.send(textOf(reply.body));
  };
}

/** Does `work`, which is told when whoever asked goes away: then there is nobody to be told what came of it. */
async function whileThere(response: Response, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const gone = new AbortController();
  const leave = (): void => gone.abort(new Error('whoever asked went away'));
  response.once('close', leave);
  try {
    await work(gone.signal);
  } catch (error) {
    if (!gone.signal.aborted) throw error;
  } finally {
    response.off('close', leave);
  }
}

async function transfer(
  context: OperationContext,
  route: Route,
  transfers: Transfers,
  request: Request,
  response: Response,
  signal: AbortSignal,
): Promise<void> {
  const { operation } = route;
  const { caller } = exchangeOf(request);
  const call = { params: request.params, query: request.query, body: undefined, caller, signal };
  if (operation.kind === 'download') {
    await transfers.send(response, async () => (await operation.answer(context, call)).body as Archive);
    return;
  }
  const key = request.get(IDEMPOTENCY_KEY);
  // Whoever may not do this sends nothing.
  await operation.admit(context, call);
  await transfers.receive(request, async (body) => {
    if (key !== undefined && caller !== undefined) {
      await answerOnce(context, route, { ...call, body, caller }, requireKey(key), response, body.sha256);
      return;
    }
    const reply = await operation.answer(context, { ...call, body });
    response.status(reply.status).set('content-type', reply.contentType).send(textOf(reply.body));
  });
}

/** Undefined where it is absent or of a type that is not read. One that may be empty may be absent. */
function bodyOf(request: Request, { body }: Operation): unknown {
  const isSent =
    Number(request.get('content-length') ?? 0) > 0 || request.get('transfer-encoding') !== undefined;
  if (request.body === undefined && !isSent && body !== undefined && mayBeEmpty(body)) return {};
  return request.body;
}

const textOf = (body: unknown): string => (typeof body === 'string' ? body : JSON.stringify(body));

/** Visible letters of ASCII, and spaces between them. */
const KEY = /^[\x20-\x7e]{1,200}$/;

function requireKey(key: string): string {
  if (KEY.test(key)) return key;
  throw new PortcullisError('REQUEST_INVALID', `the header ${IDEMPOTENCY_KEY} is not a key`, {
    hint: 'give 1 to 200 printable characters of ASCII, such as a UUID: a new one for each act',
  });
}

/** Carries an act out once for its key. Whoever may not do it any more is refused, also what it answered before. */
async function answerOnce(
  context: OperationContext,
  { operationId, operation }: Route,
  call: RawCall & { readonly caller: TokenHolder },
  key: string,
  response: Response,
  /** What stands for the body, where that is not kept. */
  digest?: string,
): Promise<void> {
  await operation.admit(context, call);
  const { caller, params, query, body: sent } = call;
  const input = { params, query, body: digest ?? sent };
  const { status, contentType, body } = await once(
    context.control,
    {
      caller: caller.id,
      key,
      operation: operationId,
      input,
      secret: operation.keyed === 'secret',
      oneCommit: operation.oneCommit,
    },
    async () => {
      const reply = await operation.answer(context, call);
      return { ...reply, body: textOf(reply.body) };
    },
    () => response.set(IDEMPOTENT_REPLAYED, 'true'),
  );
  response.status(status).set('content-type', contentType).send(body);
}

/** Line by line, no faster than they are read. What fails before the first line is answered as an error. */
async function sendLines(
  { reply: { write = JSON.stringify } }: Operation,
  response: Response,
  { status, contentType, body }: Reply<AsyncIterable<unknown>>,
): Promise<void> {
  const lines = body[Symbol.asyncIterator]();
  let line = await lines.next();
  response.status(status).set('content-type', contentType);
  const texts = async function* (): AsyncGenerator<string> {
    try {
      for (; line.done !== true; line = await lines.next()) yield `${write(line.value)}\n`;
    } finally {
      await lines.return?.();
    }
  };
  if (response.req.method === 'HEAD') {
    await lines.return?.();
    response.end();
    return;
  }
  // Whoever stops reading holds no connection of a database for long.
  response.setTimeout(STALLED_MS, () => response.destroy());
  try {
    await pipeline(Readable.from(texts()), response);
  } catch (error) {
    // Whoever asked went away: there is nobody to be told.
    if ((error as { code?: unknown }).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}

/** A client that was cut off says in a header where it goes on; its address still has where it once began. */
function queryOf(request: Request, { kind }: Operation): unknown {
  const last = kind === 'follow' ? request.get('last-event-id') : undefined;
  return last === undefined || last === '' ? request.query : { ...request.query, cursor: last };
}

/** Sends text as it comes, until the client goes or the server stops. */
async function follow(response: Response, from: Followed): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  // A proxy that collects an answer before it passes it on would pass nothing on.
  response.set('x-accel-buffering', 'no');
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  response.flushHeaders();
  await pipeline(from(gone.signal), response).catch((error: unknown) => {
    // It was answered 200: there is nobody to tell any more, and the client comes again.
    if (!gone.signal.aborted) throw error;
  });
}

/** Whoever may not do this is told so, also where the body could not be read at all. */
function admitFirst(context: OperationContext, { operation }: Route): ErrorRequestHandler {
  return async (thrown: unknown, request, _response, next) => {
    if (!(thrown instanceof PortcullisError) && isUnread(knownError(thrown))) {
      const { caller } = exchangeOf(request);
      await operation.admit(context, { params: request.params, query: {}, body: undefined, caller });
    }
    next(thrown);
  };
}

/** Four parameters, or Express does not take it for an error handler. */
function tellUnread(context: OperationContext, { operation: { unread } }: Route): ErrorRequestHandler {
  return async (thrown: unknown, request, _response, next) => {
    const error = knownError(thrown);
    if (isUnread(error)) await unread?.(context, error, exchangeOf(request).caller);
    next(thrown);
  };
}

function isUnread({ code }: PortcullisError): boolean {
  return code === 'BODY_TOO_LARGE' || code === 'REQUEST_INVALID';
}

function allowed(group: readonly Route[]): string {
  return group
    .flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))
    .join(', ');
}

function refuse(allow: string): RequestHandler {
  return (request, response) => {
    response.set('allow', allow);
    throw new PortcullisError('METHOD_NOT_ALLOWED', `this address does not take ${request.method}`, {
      hint: `it takes ${allow}`,
    });
  };
}
