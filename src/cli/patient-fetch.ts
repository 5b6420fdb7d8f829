import { request as overHttp, type IncomingMessage } from 'node:http';
import { request as overHttps } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { formatDurationMs } from '../kernel/duration.js';

/** An import of a large directory says nothing until it has committed, and may take longer than an hour. */
const SILENT_MS = 6 * 60 * 60 * 1000;
/** How soon a connection is tried that says nothing: one whose other end is gone ends by that, and not by the limit. */
const ALIVE_MS = 30_000;
const NO_BODY = new Set([204, 205, 304]);

/**
 * A `fetch` for long acts: Node.js' own gives up after 300 s without a byte, and its limits cannot be set without a
 * library. This one waits for `silentMs`, and notices within minutes when the other end is gone. Follows no redirect.
 */
export function patientFetch(silentMs = SILENT_MS): typeof fetch {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const { method = 'GET', signal } = init;
    const headers = Object.fromEntries(new Headers(init.headers));
    const send = url.protocol === 'https:' ? overHttps : overHttp;
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = send(url, { method, headers, ...(signal && { signal }) });
      sent.once('error', reject).once('response', resolve);
      sent.setSocketKeepAlive(true, ALIVE_MS);
      sent.setTimeout(silentMs, () => {
        sent.destroy(new Error(`nothing came for ${formatDurationMs(silentMs)}`));
      });
      // The request's own error says what is wrong with either.
      pipeline(bodyOf(init.body), sent).catch(() => undefined);
    });
    const status = answer.statusCode ?? 0;
    const body = NO_BODY.has(status) ? null : (Readable.toWeb(answer) as unknown as ReadableStream);
    return new Response(body, { status, headers: headersOf(answer) });
  };
}

/** As the client gives it: text, or what comes as it comes. */
function bodyOf(body: unknown): Readable {
  if (body === undefined || body === null) return Readable.from([]);
  return typeof body === 'string' ? Readable.from([body]) : Readable.from(body as AsyncIterable<Uint8Array>);
}

function headersOf({ headers }: IncomingMessage): Headers {
  const given = new Headers();
  for (const [name, value] of Object.entries(headers))
    for (const each of [value].flat()) if (each !== undefined) given.append(name, each);
  return given;
}
