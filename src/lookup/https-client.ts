import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { LookupFunction } from 'node:net';
import { RequestFilteringHttpsAgent } from 'request-filtering-agent';
import { attempt } from './attempt.js';
import type { Https, HttpsAnswer, HttpsAnswerClass, HttpsFailure } from './https.js';
import { Slots } from './slots.js';

export interface HttpsOptions {
  /** For the whole fetch, from the name lookup to the last byte. */
  readonly timeoutMs: number;
  /** A longer body, declared or sent, is TOO_LARGE. */
  readonly maxBodyBytes: number;
  /** Fetches in flight. */
  readonly maxConcurrent: number;
  /** Lets loopback and private addresses through: for tests and the sample world only. Default false. */
  readonly allowPrivateAddresses?: boolean;
  /** PEM certificates to trust instead of the public authorities. */
  readonly ca?: string | readonly string[];
  /** How a host's addresses are found; what it answers is still filtered. Default: the system's way. */
  readonly lookup?: LookupFunction;
  /** Called once for each fetch's answer. */
  readonly onAnswer?: (answerClass: HttpsAnswerClass) => void;
}

/** Azure's metadata and wire server: a public address that only its own machines can reach. */
const AZURE_WIRE_SERVER = '168.63.129.16';

/**
 * The HTTPS client. The address that is connected to is the one that was checked, so a name that resolves
 * differently the second time gains nothing. No cookies, no credentials, no redirects, no connection reuse.
 */
export function createHttps(options: HttpsOptions): Https {
  const slots = new Slots(options.maxConcurrent);
  const agent = new RequestFilteringHttpsAgent({
    keepAlive: false,
    allowPrivateIPAddress: options.allowPrivateAddresses ?? false,
    denyIPAddressList: [AZURE_WIRE_SERVER],
  });
  return {
    async getText(text, signal) {
      const url = readUrl(text);
      const answer: HttpsAnswer =
        url === undefined
          ? failed('URL_INVALID')
          : await slots.use(() => fetchText(url, agent, options, signal), signal);
      options.onAnswer?.(answer.kind === 'indeterminate' ? answer.code : answer.kind);
      return answer;
    },
  };
}

function readUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === 'https:' && url.username === '' && url.password === '' ? url : undefined;
}

function failed(code: HttpsFailure): HttpsAnswer {
  return { kind: 'indeterminate', code };
}

/** How far a connection has come: an error means something else in each phase. */
type Phase = 'connecting' | 'handshake' | 'talking';

function fetchText(
  url: URL,
  agent: RequestFilteringHttpsAgent,
  options: HttpsOptions,
  signal: AbortSignal | undefined,
): Promise<HttpsAnswer> {
  return attempt<HttpsAnswer>(
    { timeoutMs: options.timeoutMs, signal },
    () => failed('TIMEOUT'),
    (settle) => {
      let phase: Phase = 'connecting';
      const call = request(url, {
        agent,
        headers: { accept: 'text/plain', 'accept-encoding': 'identity', 'user-agent': 'portcullis' },
        ...(options.ca !== undefined && { ca: [options.ca].flat() }),
        ...(options.lookup !== undefined && { lookup: options.lookup }),
      });
      call.on('socket', (socket) => {
        socket.once('connect', () => (phase = 'handshake'));
        socket.once('secureConnect', () => (phase = 'talking'));
      });
      call.on('error', (error) => settle(failed(failureOf(error, phase))));
      call.on('response', (response) => readResponse(response, options.maxBodyBytes, settle));
      call.end();
      return () => call.destroy();
    },
  );
}

function readResponse(
  response: IncomingMessage,
  maxBodyBytes: number,
  settle: (answer: HttpsAnswer) => void,
): void {
  response.on('error', () => settle(failed('UNREACHABLE')));
  const refusal = readHead(response, maxBodyBytes);
  if (refusal !== undefined) {
    settle(refusal);
    return;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) settle(failed('TOO_LARGE'));
    else chunks.push(chunk);
  });
  response.on('end', () => settle(readBody(Buffer.concat(chunks))));
}

/** What the status and headers decide already; undefined where the body must be read. */
function readHead(
  { statusCode: status = 0, headers }: IncomingMessage,
  maxBodyBytes: number,
): HttpsAnswer | undefined {
  if (status === 404 || status === 410) return { kind: 'absent', status };
  if (status >= 500) return failed('SERVER_ERROR');
  if (status >= 300 && status < 400) return failed('REDIRECT');
  if (status !== 200) return failed('UNEXPECTED_STATUS');
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') return failed('MALFORMED');
  if (Number(headers['content-length'] ?? 0) > maxBodyBytes) return failed('TOO_LARGE');
  return undefined;
}

/** A byte-order mark is how some editors begin a file, not part of its text. */
function readBody(body: Buffer): HttpsAnswer {
  try {
    return { kind: 'body', status: 200, text: new TextDecoder('utf-8', { fatal: true }).decode(body) };
  } catch {
    return failed('MALFORMED');
  }
}

function failureOf(error: NodeJS.ErrnoException, phase: Phase): HttpsFailure {
  // The filtering agent gives its refusals no code; whatever it may say, it says before a connection.
  if (phase === 'connecting') {
    return error.code === undefined && error.message.includes('is not allowed')
      ? 'PRIVATE_ADDRESS'
      : 'UNREACHABLE';
  }
  if (phase === 'handshake') return 'TLS';
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'TOO_LARGE';
  return error.code?.startsWith('HPE_') === true ? 'MALFORMED' : 'UNREACHABLE';
}
