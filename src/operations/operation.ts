import { z } from 'zod';
import { requireMay, type Action } from '../access/roles.js';
import type { TokenHolder } from '../access/tokens.js';
import { PortcullisError, type ErrorCode } from '../kernel/errors.js';
import type { OperationContext } from './context.js';

/** A call as it came, before anything is known of its shape. */
export interface RawCall {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  /** Whose token came with it; undefined only where none is needed. */
  readonly caller: TokenHolder | undefined;
  /** Aborted when whoever asked goes away; absent: nobody goes away. */
  readonly signal?: AbortSignal | undefined;
}

export interface Reply<Output = unknown> {
  readonly status: number;
  readonly contentType: string;
  readonly body: Output;
}

/**
 * `read` changes nothing; `act` does; `stream` reads, and answers line by line; `follow` reads, and goes on as things
 * change; `download` reads, and answers an archive of files; `upload` acts on one that it takes.
 */
export type Kind = 'read' | 'act' | 'stream' | 'follow' | 'download' | 'upload';

/**
 * Something that a person or a program can do. HTTP routes, the OpenAPI document, the typed client and the
 * commands of the remote command line are made from the list of these, so that they cannot disagree.
 */
export interface Operation<At extends Address = Address, Input = unknown, Output = unknown> {
  /** Method and path, the path in Express' form: `GET /api/v1/runs/:id`. */
  readonly at: At;
  readonly kind: Kind;
  readonly summary: string;
  /** What its caller must be allowed to do; `anyone`: no token is needed. */
  readonly action: Action | 'anyone';
  /** What it takes from the path, from the query and from the body: one input, in three parts. */
  readonly params: z.ZodObject;
  readonly query: z.ZodObject;
  readonly body: z.ZodObject | undefined;
  /** The longest body; absent: 64 KiB. */
  readonly bodyBytes: number | undefined;
  /** Called where the body cannot be read, or does not fit the schema, before the call is refused. */
  readonly unread:
    | ((context: OperationContext, error: PortcullisError, caller: TokenHolder | undefined) => Promise<void>)
    | undefined;
  /** What an Idempotency-Key does: nothing, as for whatever stops something; carry it out once; or that, and its answer holds a secret. */
  readonly keyed: 'no' | 'yes' | 'secret';
  /** Whether all that it does is one transaction of the control database, with which its key commits. */
  readonly oneCommit: boolean;
  /** Whether it is carried out also where the control database does not answer. */
  readonly withoutControl: boolean;
  /**
   * Whether a large answer is compressed. Only where it is no secret and holds none, such as a person's data: beside what
   * whoever listens can have repeated in it, the length of what was compressed tells a secret letter by letter (BREACH).
   */
  readonly compressed: boolean;
  readonly reply: {
    readonly schema: z.ZodType<Output>;
    /** Undefined: only the context can tell. */
    readonly contentType: string;
    readonly statuses: readonly number[];
    /** How a line of a stream is written; absent: as JSON. */
    readonly write: ((line: unknown) => string) | undefined;
  };
  /** The errors of its own, beside those that any call can meet. */
  readonly errors: readonly ErrorCode[];
  /** An input that it takes. */
  readonly example: Input;
  /**
   * Checks that the caller may do this, in every region that the call reaches, before the shape of query and body is
   * looked at. Throws FORBIDDEN; REQUEST_INVALID for a malformed path; or what says that there is no such thing.
   */
  admit(context: OperationContext, call: RawCall): Promise<void>;
  /** Checks the call against the schemas and the caller's role, then answers it. Throws REQUEST_INVALID, FORBIDDEN, or what the function throws. */
  answer(context: OperationContext, call: RawCall): Promise<Reply<Output>>;
}

export type Address = `${'GET' | 'POST'} /${string}`;

/** What a client gives an operation, and what it is answered. */
export type InputOf<Some> = Some extends Operation<Address, infer Input> ? Input : never;
export type OutputOf<Some> = Some extends Operation<Address, unknown, infer Output> ? Output : never;

export type Given<Part> = Part extends z.ZodType ? z.input<Part> : unknown;
export type Checked<Part> = Part extends z.ZodType ? z.output<Part> : unknown;
export type Caller<Needs> = Needs extends 'anyone' ? undefined : TokenHolder;

/** Regions; null: everywhere. */
export type Reach = readonly (string | null)[];

type ReachOf<Params> = (
  context: OperationContext,
  params: Params,
  sent: {
    /** The regions that the body names, as far as it can be read. */
    readonly regions: readonly string[];
    /** As it came; undefined where it could not be read. */
    readonly body: unknown;
  },
) => Promise<Reach> | Reach;

export interface Spec<
  At extends Address,
  Needs extends Action | 'anyone',
  Params extends z.ZodObject | undefined,
  Query extends z.ZodObject | undefined,
  Body extends z.ZodObject | undefined,
  Result extends z.ZodType,
> {
  readonly at: At;
  /** Absent: `read` for GET, `act` for POST. */
  readonly kind?: Kind;
  readonly summary: string;
  readonly action: Needs;
  /**
   * The regions that the call reaches, where that is not its parameter `region`; null: everywhere. A caller who is bound
   * to others is refused before the shape of query and body is looked at. `'function'`: the function alone can tell, and
   * checks them.
   */
  readonly reach?: ReachOf<Checked<Params>> | 'function';
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly bodyBytes?: number;
  readonly unread?: Operation['unread'];
  /** Absent: `yes` for an act that takes a token. */
  readonly keyed?: Operation['keyed'];
  /** Absent: no, and what a process that ended did of it is unknown. */
  readonly oneCommit?: true;
  /** Absent: no. */
  readonly withoutControl?: true;
  /** Absent: no. */
  readonly compressed?: true;
  readonly result: Result;
  /** Absent: JSON. */
  readonly contentType?: string;
  readonly write?: (line: unknown) => string;
  /** The statuses that `statusOf` may choose from. Absent: 200. */
  readonly statuses?: readonly number[];
  readonly statusOf?: (result: z.output<Result>) => number;
  readonly errors?: readonly ErrorCode[];
  readonly example: Given<Params> & Given<Query> & Given<Body>;
  run(
    context: OperationContext,
    input: Checked<Params> & Checked<Query> & Checked<Body>,
    caller: Caller<Needs>,
    signal: AbortSignal | undefined,
  ): Promise<z.output<Result>> | z.output<Result>;
}

const NOTHING = z.strictObject({});

/** An operation whose function is typed by its schemas. */
export function operation<
  At extends Address,
  Needs extends Action | 'anyone',
  Result extends z.ZodType,
  Params extends z.ZodObject | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
  Body extends z.ZodObject | undefined = undefined,
>(
  spec: Spec<At, Needs, Params, Query, Body, Result>,
): Operation<At, Given<Params> & Given<Query> & Given<Body>, z.output<Result>> {
  type Input = Checked<Params> & Checked<Query> & Checked<Body>;
  const kind = spec.kind ?? (spec.at.startsWith('GET') ? 'read' : 'act');
  const { at, action, reach, contentType = 'application/json' } = spec;
  const { params: paramsSchema = NOTHING, query: querySchema = NOTHING, body: bodySchema } = spec;
  const admitted = async (
    context: OperationContext,
    { caller, params: given, query, body }: RawCall,
  ): Promise<Readonly<Record<string, unknown>>> => {
    // Whoever may not do this anywhere learns nothing of what the call should look like.
    requireReach(action, caller && { ...caller, regions: null }, [null]);
    const params = check('path', paramsSchema, given);
    if (reach === 'function' || caller === undefined || caller.regions === null) return params;
    // An upload has no body that could be looked at before it is read.
    const sent =
      kind === 'upload' ? { regions: regionsSent(query), body: query } : { regions: regionsSent(body), body };
    const regions = await reach?.(context, params as Checked<Params>, sent);
    requireReach(action, caller, regions ?? [regionIn(params)]);
    return params;
  };
  return {
    at,
    kind,
    summary: spec.summary,
    action,
    params: paramsSchema,
    query: querySchema,
    body: bodySchema,
    bodyBytes: spec.bodyBytes,
    unread: spec.unread,
    oneCommit: spec.oneCommit === true,
    withoutControl: spec.withoutControl === true,
    compressed: spec.compressed === true,
    keyed: spec.keyed ?? (['act', 'upload'].includes(kind) && needsToken({ at }) ? 'yes' : 'no'),
    reply: {
      schema: spec.result as z.ZodType<z.output<Result>>,
      contentType,
      statuses: spec.statuses ?? [200],
      write: spec.write,
    },
    errors: spec.errors ?? [],
    example: spec.example,
    async admit(context, call) {
      await admitted(context, call);
    },
    async answer(context, call) {
      const { caller } = call;
      const params = await admitted(context, call);
      const query = check('query', querySchema, call.query);
      const body = bodySchema && check('body', bodySchema, call.body);
      const archive = kind === 'upload' && { archive: call.body };
      const input = { ...params, ...query, ...body, ...archive } as Input;
      const answer = await spec.run(context, input, caller as Caller<Needs>, call.signal);
      return { status: spec.statusOf?.(answer) ?? 200, contentType, body: answer };
    },
  };
}

export const LINES_TYPE = 'application/jsonl';

type StreamSpec<
  At extends Address,
  Needs extends Action | 'anyone',
  Params extends z.ZodObject | undefined,
  Query extends z.ZodObject | undefined,
  Line extends z.ZodType,
> = Omit<Spec<At, Needs, Params, Query, undefined, Line>, 'kind' | 'contentType' | 'run' | 'write'> & {
  readonly write?: (line: z.output<Line>) => string;
  /** What it throws before it answers is answered as an error; what the lines throw cuts the answer off. */
  run(
    context: OperationContext,
    input: Checked<Params> & Checked<Query>,
    caller: Caller<Needs>,
  ): Promise<AsyncIterable<z.output<Line>>> | AsyncIterable<z.output<Line>>;
};

/** An operation that answers with as many lines as there are, in flat memory; `result` is the schema of a line. */
export function stream<
  At extends Address,
  Needs extends Action | 'anyone',
  Line extends z.ZodType,
  Params extends z.ZodObject | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
>(
  spec: StreamSpec<At, Needs, Params, Query, Line>,
): Operation<At, Given<Params> & Given<Query>, AsyncIterable<z.output<Line>>> {
  const lines: unknown = operation({ ...spec, kind: 'stream', contentType: LINES_TYPE } as never);
  return lines as Operation<At, Given<Params> & Given<Query>, AsyncIterable<z.output<Line>>>;
}

/** Where an operation is, in the words of Express. */
export function addressOf({ at }: Pick<Operation, 'at'>): {
  readonly method: 'get' | 'post';
  readonly path: string;
} {
  const space = at.indexOf(' ');
  return { method: at.startsWith('GET') ? 'get' : 'post', path: at.slice(space + 1) };
}

/** Whether an operation needs a token: everything of the API does, whatever its declaration says. */
export function needsToken({ at }: Pick<Operation, 'at'>): boolean {
  return addressOf({ at }).path.startsWith('/api/');
}

/** Whether a body needs nothing in it, and so may be absent. */
export function mayBeEmpty(body: z.ZodObject): boolean {
  return body.safeParse({}).success;
}

/** An input, in the parts that a call carries it in. What no part knows goes where it will be refused. */
export function partsOf(
  { params, query, body }: Pick<Operation, 'params' | 'query' | 'body'>,
  input: object,
): Pick<RawCall, 'params' | 'query' | 'body'> {
  const parts: Record<'params' | 'query' | 'body', Record<string, unknown>> = {
    params: {},
    query: {},
    body: {},
  };
  for (const [name, value] of Object.entries(input)) {
    if (name in params.shape) parts.params[name] = value;
    else if (body === undefined || name in query.shape) parts.query[name] = value;
    else parts.body[name] = value;
  }
  return { ...parts, body: body && parts.body };
}

/** An operation that asks for a role is never answered to a call without a caller, wherever it comes from. */
function requireReach(action: Operation['action'], caller: TokenHolder | undefined, reach: Reach): void {
  if (action === 'anyone') return;
  if (!caller) throw new PortcullisError('TOKEN_MISSING', 'this address needs a bearer token');
  for (const region of reach) requireMay(caller, action, region ?? undefined);
}

function regionIn(params: Readonly<Record<string, unknown>>): string | null {
  return typeof params['region'] === 'string' ? params['region'] : null;
}

/**
 * The regions that a body names, however malformed the rest of it is: its `region`, its `regions`, and those of the
 * items of its lists. Every region that a schema reads there is among them.
 */
function regionsSent(body: unknown): readonly string[] {
  if (typeof body !== 'object' || body === null) return [];
  const { region, regions } = body as Readonly<Record<string, unknown>>;
  const own = [region, ...(Array.isArray(regions) ? (regions as unknown[]) : [])];
  const items = Object.values(body).flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []));
  const inItems = items.map((item) => (item as { readonly region?: unknown } | null)?.region);
  return [...new Set([...own, ...inItems].filter((each) => typeof each === 'string'))];
}

/** The regions that the body names, or else these. A body that could not be read reaches nothing. */
export function sentOr<Params>(otherwise: ReachOf<Params>): ReachOf<Params> {
  return (context, params, sent) =>
    sent.regions.length > 0 || sent.body === undefined ? sent.regions : otherwise(context, params, sent);
}

export const SENT_OR_EVERYWHERE = sentOr<unknown>(() => [null]);

function check(
  part: 'path' | 'query' | 'body',
  schema: z.ZodObject,
  given: unknown,
): Readonly<Record<string, unknown>> {
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
