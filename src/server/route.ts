import { z } from 'zod';
import { mayDo, requireMay, type Action } from '../access/roles.js';
import { PortcullisError, type ErrorCode } from '../kernel/errors.js';
import type { TokenHolder } from '../access/tokens.js';

/** A request as it came, before anything is known of its shape. */
export interface RawCall {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  /** Whose token came with it; undefined only where none is needed. */
  readonly caller: TokenHolder | undefined;
}

export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: unknown;
}

/**
 * One line of the table of routes. The router and the OpenAPI document are both made from it, so what is
 * documented is what is served.
 */
export interface Route {
  readonly method: 'get' | 'post';
  /** In Express' form: `/api/v1/runs/:id`. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /** What its caller must be allowed to do; `anyone`: no token is needed. */
  readonly action: Action | 'anyone';
  readonly params: z.ZodObject;
  readonly query: z.ZodObject;
  readonly body: z.ZodType | undefined;
  /** The longest body; absent: 64 KiB. */
  readonly bodyBytes: number | undefined;
  /** Called where the body cannot be read, or does not fit the schema, before the call is refused. */
  readonly unread: ((error: PortcullisError, caller: TokenHolder | undefined) => Promise<void>) | undefined;
  readonly reply: {
    readonly schema: z.ZodType;
    readonly contentType: string;
    readonly statuses: readonly number[];
  };
  /** The errors of its own, beside those that any request can meet. */
  readonly errors: readonly ErrorCode[];
  /** Checks the call against the schemas and the caller's role, then answers it. Throws REQUEST_INVALID, FORBIDDEN, or what the handler throws. */
  answer(call: RawCall): Promise<Reply>;
}

/** A call that fits the route's schemas. */
interface Checked<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType> {
  readonly params: z.output<Params>;
  readonly query: z.output<Query>;
  readonly body: z.output<Body>;
}

interface RouteSpec<
  Params extends z.ZodObject,
  Query extends z.ZodObject,
  Body extends z.ZodType,
  Result extends z.ZodType,
> {
  readonly method: Route['method'];
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly action: Route['action'];
  /**
   * The region that the call acts in, where that is not its parameter `region`; undefined: everywhere.
   * `'handler'`: only the handler can tell, and checks it.
   */
  readonly regionOf?: ((call: Checked<Params, Query, Body>) => string | undefined) | 'handler';
  /**
   * Where only the handler can tell: the regions of what the path names. A caller who is bound to none of them is
   * refused before the rest of the call is looked at.
   */
  readonly reach?: (params: z.output<Params>) => Promise<readonly (string | null)[]>;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly bodyBytes?: Route['bodyBytes'];
  readonly unread?: Route['unread'];
  readonly result: Result;
  readonly contentType?: string;
  /** The statuses that `statusOf` may choose from. Absent: 200. */
  readonly statuses?: readonly number[];
  readonly statusOf?: (result: z.output<Result>) => number;
  readonly errors?: readonly ErrorCode[];
  handle(
    call: Checked<Params, Query, Body> & { readonly caller: TokenHolder | undefined },
  ): Promise<z.output<Result>> | z.output<Result>;
}

const NOTHING = z.strictObject({});

/** A route whose handler is typed by its schemas. */
export function route<
  Params extends z.ZodObject,
  Query extends z.ZodObject,
  Body extends z.ZodType,
  Result extends z.ZodType,
>(spec: RouteSpec<Params, Query, Body, Result>): Route {
  const contentType = spec.contentType ?? 'application/json';
  return {
    method: spec.method,
    path: spec.path,
    operationId: spec.operationId,
    summary: spec.summary,
    action: spec.action,
    params: spec.params ?? NOTHING,
    query: spec.query ?? NOTHING,
    body: spec.body,
    bodyBytes: spec.bodyBytes,
    unread: spec.unread,
    reply: { schema: spec.result, contentType, statuses: spec.statuses ?? [200] },
    errors: spec.errors ?? [],
    async answer(call) {
      const { caller } = call;
      // Whoever may not do this anywhere learns nothing of what the call should look like.
      admit(spec.action, caller && { ...caller, regions: null }, undefined);
      const params = check('path', spec.params ?? NOTHING, call.params) as z.output<Params>;
      if (spec.regionOf === undefined) admit(spec.action, caller, regionIn(params));
      if (caller !== undefined && caller.regions !== null && spec.reach) {
        admitSome(spec.action, caller, await spec.reach(params));
      }
      const checked = {
        params,
        query: check('query', spec.query ?? NOTHING, call.query) as z.output<Query>,
        body: (spec.body && check('body', spec.body, call.body)) as z.output<Body>,
      };
      if (typeof spec.regionOf === 'function') admit(spec.action, caller, spec.regionOf(checked));
      const body = await spec.handle({ ...checked, caller });
      return { status: spec.statusOf?.(body) ?? 200, contentType, body };
    },
  };
}

/** A route that asks for a role is never answered to a call without a caller, wherever it is mounted. */
function admit(action: Route['action'], caller: TokenHolder | undefined, region: string | undefined): void {
  if (action === 'anyone') return;
  requireMay(callerOf(caller), action, region);
}

function admitSome(action: Route['action'], caller: TokenHolder, regions: readonly (string | null)[]): void {
  if (action === 'anyone') return;
  if (regions.some((region) => mayDo(caller, action, region ?? undefined).allowed)) return;
  admit(action, caller, regions[0] ?? undefined);
}

/** Whose call it is, on a route that asks for a role and so is never answered without. */
export function callerOf(caller: TokenHolder | undefined): TokenHolder {
  if (caller) return caller;
  throw new PortcullisError('TOKEN_MISSING', 'this address needs a bearer token');
}

function regionIn(params: Readonly<Record<string, unknown>>): string | undefined {
  return typeof params['region'] === 'string' ? params['region'] : undefined;
}

/** Whether calls to a path need a token: all of the API, whatever its table says. */
export function needsToken(path: string): boolean {
  return path.startsWith('/api/');
}

function check(part: 'path' | 'query' | 'body', schema: z.ZodType, given: unknown): unknown {
  if (part === 'body' && given === undefined) {
    throw new PortcullisError('REQUEST_INVALID', 'the request has no JSON body', {
      hint: 'send a JSON object, with the header content-type: application/json',
    });
  }
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => ({
    in: part,
    at: issue.path.join('.'),
    message: issue.message,
  }));
  const text = faults.map(({ at, message }) => `${part}${at === '' ? '' : ` ${at}`}: ${message}`).join('; ');
  throw new PortcullisError('REQUEST_INVALID', text, {
    hint: 'see this call in /api/v1/openapi.json',
    details: { faults },
  });
}
