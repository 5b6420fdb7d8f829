import { readdirSync } from 'node:fs';
import { extname } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import express, { type RequestHandler, type Response } from 'express';

/** In the order in which they are preferred where a client likes them as well. */
export const ENCODINGS = ['br', 'gzip'] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** How bundle.js names what it has compressed, beside the file itself. */
const SUFFIXES: Readonly<Record<Encoding, string>> = { br: '.br', gzip: '.gz' };

/**
 * The encoding to answer in, of those that there are (RFC 9110, 12.5.3); undefined: as it is. Pure. Also where a client
 * refuses that too: it is told something rather than nothing.
 */
export function encodingFor(
  accepted: string | undefined,
  available: readonly Encoding[] = ENCODINGS,
): Encoding | undefined {
  const weights = new Map<string, number>();
  for (const part of (accepted ?? '').toLowerCase().split(',')) {
    const [name = '', ...parameters] = part.split(';').map((each) => each.trim());
    const weight = parameters.find((each) => each.startsWith('q='))?.slice(2) ?? '1';
    // What cannot be read is not wanted.
    if (name !== '') weights.set(name, /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(weight) ? Number(weight) : 0);
  }
  const rest = weights.get('*') ?? 0;
  const asItIs = weights.get('identity') ?? 0;
  const [best] = available
    .map((encoding) => ({ encoding, weight: weights.get(encoding) ?? rest }))
    .filter(({ weight }) => weight > 0 && weight >= asItIs)
    .sort((one, other) => other.weight - one.weight);
  return best?.encoding;
}

/** Below this an answer is a few packets either way. */
const WORTH_BYTES = 16 * 1024;

/** Off the thread that answers. The fastest of brotli makes of gates what gzip does, in half the time. */
const COMPRESS: Readonly<Record<Encoding, (text: Buffer) => Promise<Buffer>>> = {
  br: (text) =>
    promisify(brotliCompress)(text, {
      params: {
        [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
        [constants.BROTLI_PARAM_QUALITY]: 1,
        [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
      },
    }),
  gzip: (text) => promisify(gzip)(text, { level: 3 }),
};

/** Sends text, compressed where it is large and the client takes that. Only for what holds no secret: its length tells of it. */
export async function sendCompressed(response: Response, text: string): Promise<void> {
  response.vary('accept-encoding');
  const encoding = encodingFor(response.req.get('accept-encoding'));
  const plain = Buffer.from(text);
  if (encoding === undefined || plain.length < WORTH_BYTES) {
    response.send(text);
    return;
  }
  const body = await COMPRESS[encoding](plain);
  response.set('content-encoding', encoding).send(body);
}

/**
 * The files of a folder, whose names change with what is in them: kept for ever, and sent as the client takes them,
 * where bundle.js has left them compressed. What is asked for in part is a part of what is sent whole.
 */
export function filesOf(folder: string): RequestHandler {
  const all = new Set(readdirSync(folder));
  const names = [...all].filter((name) => !/\.(br|gz)$/.test(name));
  const available = new Map(
    names.map((name) => [name, ENCODINGS.filter((each) => all.has(name + SUFFIXES[each]))]),
  );
  const send = express.static(folder, { immutable: true, maxAge: '365d', index: false });
  return (request, response, next) => {
    const name = request.path.slice(1);
    const encodings = available.get(name);
    if (encodings === undefined || !['GET', 'HEAD'].includes(request.method)) {
      next();
      return;
    }
    if (encodings.length > 0) response.vary('accept-encoding');
    const encoding = encodingFor(request.get('accept-encoding'), encodings);
    const { url } = request;
    if (encoding !== undefined) {
      response.type(extname(name)).set('content-encoding', encoding);
      request.url = `/${name}${SUFFIXES[encoding]}`;
    }
    send(request, response, (error) => {
      // What is answered in its place is neither compressed nor kept for ever.
      for (const header of ['content-encoding', 'content-type', 'cache-control', 'etag', 'last-modified'])
        response.removeHeader(header);
      request.url = url;
      next(error);
    });
  };
}
