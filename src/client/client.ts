import { ERRORS, PortcullisError, messageOf, type ErrorCode } from '../kernel/errors.js';
import { shorten } from '../kernel/text.js';
import type { OperationName, Operations } from '../operations/list.js';
import type { Upload } from '../operations/archive.js';
import type { InputOf, OutputOf } from '../operations/operation.js';
import type { Page, PageRequest } from '../postgres/page.js';
import { ADDRESSES } from './addresses.js';

export interface ClientOptions {
  /** Where Portcullis answers: `https://portcullis.example`, with a path before `/api` where a proxy adds one. */
  readonly url: string;
  /** Absent: the browser's own cookie, or calls that need no token. */
  readonly token?: string | undefined;
  /** For tests, and for clients that need a proxy. */
  readonly fetch?: typeof fetch | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Of an act that may be repeated later, as by another process; absent: a new one for each call. */
  readonly idempotencyKey?: string | undefined;
}

type Input<Name extends OperationName> = InputOf<Operations[Name]>;
type Output<Name extends OperationName> = OutputOf<Operations[Name]>;
/** Operations that need nothing may be called with nothing. */
type Arguments<Name extends OperationName> =
  Record<string, never> extends Input<Name>
    ? [input?: Input<Name>, options?: CallOptions]
    : [input: Input<Name>, options?: CallOptions];

export interface Client {
  /**
   * Calls an operation. Throws the PortcullisError that the server answers, with its code, hint and details, or
   * SERVER_UNREACHABLE where nothing answers, or something that is not Portcullis. An act whose answer is lost is sent
   * once more, with the same idempotency key: it is carried out once.
   */
  call<Name extends OperationName>(name: Name, ...given: Arguments<Name>): Promise<Output<Name>>;
}

/** A client of the API, typed by the list of operations. Uses nothing but `fetch`. */
export function createClient({ url, token, fetch: fetchWith = fetch }: ClientOptions): Client {
  const base = url.replace(/\/+$/, '');
  return {
    async call(name, ...[input, options]) {
      const { path, body, ...init } = requestOf(ADDRESSES[name], input ?? {});
      const headers: Record<string, string> = {
        accept: `application/json, application/jsonl, ${ARCHIVE_TYPE}, text/*`,
        ...init.headers,
      };
      if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
      const signal = options?.signal ?? null;
      const send = async (): Promise<never> =>
        (await read(
          base,
          name,
          await reach(base, () => fetchWith(base + path, { ...init, ...bodyOf(body), headers, signal })),
        )) as never;
      if (init.method === 'GET') return send();
      headers['idempotency-key'] = options?.idempotencyKey ?? newKey();
      try {
        return await send();
      } catch (error) {
        if (signal?.aborted === true || !isLost(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, SEND_AGAIN_MS));
        return send();
      }
    },
  };
}

/** The most items that a page of a list has. */
export const PAGE = 200;

/** The first `most` items of a list that is answered in pages, and whether there are more. */
export async function listUpTo<Item>(
  most: number,
  pageOf: (request: PageRequest) => Promise<Page<Item>>,
): Promise<{ readonly items: Item[]; readonly more: boolean }> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await pageOf({ limit: Math.min(PAGE, most - items.length), cursor });
    items.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && items.length < most);
  return { items, more: cursor !== undefined };
}

const ARCHIVE_TYPE = 'application/x-tar';

/**
 * A body as `fetch` takes it: Node.js' own sends what comes out of a generator as it comes. Unless neither a window nor
 * a redirect can ask for it again it keeps a copy of all that was sent.
 */
function bodyOf(body: Upload | string | undefined): RequestInit {
  return typeof body === 'function'
    ? ({ body: body(), duplex: 'half', window: null, redirect: 'error' } as unknown as RequestInit)
    : body === undefined
      ? {}
      : { body };
}

const SEND_AGAIN_MS = 250;

/** Whether it may have arrived, and the answer did not. */
function isLost(error: unknown): boolean {
  return error instanceof PortcullisError && error.code === 'SERVER_UNREACHABLE' && error.cause !== undefined;
}

/** Browsers have randomUUID on secure pages alone. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}

interface Request {
  readonly path: string;
  readonly method: string;
  readonly headers?: Record<string, string>;
  readonly body?: Upload | string;
}

/** A value as a path or a query has it. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '');
}

/** What the path names goes there; the rest goes into the query of a GET or an upload, and into the body of a POST. */
function requestOf(address: string, input: object): Request {
  const [method = '', template = ''] = address.split(' ');
  const left = new Map<string, unknown>(Object.entries(input).filter(([, value]) => value !== undefined));
  const path = template.replaceAll(/:(\w+)/g, (_, name: string) => {
    const value = text(left.get(name));
    left.delete(name);
    return encodeURIComponent(value);
  });
  const archive = left.get('archive') as Upload | undefined;
  left.delete('archive');
  if (method !== 'GET' && archive === undefined) {
    const body = JSON.stringify(Object.fromEntries(left));
    return { path, method, headers: { 'content-type': 'application/json' }, body };
  }
  const query = new URLSearchParams(
    [...left].flatMap(([name, value]) =>
      (Array.isArray(value) ? (value as unknown[]) : [value]).map((each): [string, string] => [
        name,
        text(each),
      ]),
    ),
  );
  const sent = archive === undefined ? {} : { headers: { 'content-type': ARCHIVE_TYPE }, body: archive };
  return { path: query.size === 0 ? path : `${path}?${query.toString()}`, method, ...sent };
}

async function reach<Result>(base: string, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') throw error;
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new PortcullisError('SERVER_UNREACHABLE', `no answer from ${base}: ${messageOf(cause)}`, {
      hint: 'check the address, and that portcullis start or serve runs there',
      details: { url: base },
      cause: error,
    });
  }
}

async function read(base: string, name: OperationName, response: Response): Promise<unknown> {
  const type = response.headers.get('content-type') ?? '';
  const lines = response.ok && type.startsWith('application/jsonl');
  const archive = response.ok && type.startsWith(ARCHIVE_TYPE);
  const text = lines || archive ? '' : await reach(base, () => response.text());
  if (type.startsWith('application/problem+json')) throw errorOf(base, text);
  // Readiness answers no with a status of its own, and is an answer all the same.
  if (!response.ok && name !== 'getReadiness') throw notPortcullis(base, response.status);
  if (lines) return linesOf(base, response);
  if (archive) return chunksOf(base, response);
  if (!type.startsWith('application/json')) return text;
  return parse(base, text);
}

/** What a browser and Node.js both have of a body. */
interface ChunkReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/** A body as it comes. Throws SERVER_UNREACHABLE where it is cut off. */
async function* chunksOf(base: string, { body }: Response): AsyncGenerator<Uint8Array, void> {
  if (body === null) return;
  const reader: ChunkReader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reach(base, () => reader.read());
      if (done) return;
      if (value !== undefined) yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The lines of a stream as they come. Throws SERVER_UNREACHABLE where it is cut off. */
async function* linesOf(base: string, response: Response): AsyncGenerator {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunksOf(base, response)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield parse(base, line);
  }
  if (rest !== '') throw notPortcullis(base, 200);
}

function errorOf(base: string, text: string): PortcullisError {
  const problem = parse(base, text) as Readonly<Record<string, unknown>> | null;
  const { code, detail, hint, details } = problem ?? {};
  if (typeof code !== 'string' || !(code in ERRORS) || typeof detail !== 'string') {
    return new PortcullisError(
      'SERVER_UNREACHABLE',
      `${base} answers with an error of another release: ${shorten(text, 200)}`,
      {
        hint: 'use the command line of the release that runs there',
        details: { url: base },
      },
    );
  }
  return new PortcullisError(code as ErrorCode, detail, {
    ...(typeof hint === 'string' && { hint }),
    ...(typeof details === 'object' && details !== null && { details: { ...details } }),
  });
}

function parse(base: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw notPortcullis(base, 200);
  }
}

function notPortcullis(base: string, status: number): PortcullisError {
  return new PortcullisError(
    'SERVER_UNREACHABLE',
    `${base} does not answer as Portcullis does (status ${status})`,
    {
      hint: 'check the address: it ends before /api',
      details: { url: base, status },
    },
  );
}
