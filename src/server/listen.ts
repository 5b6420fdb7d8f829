import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';
import { PortcullisError, messageOf } from '../kernel/errors.js';

export interface ListenOptions {
  /** Absent: loopback, which other machines cannot reach. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  /** How long a client may take over a request's headers, and over the whole request. */
  readonly headersTimeoutMs?: number;
  readonly requestTimeoutMs?: number;
  /** How long `close` waits for requests under way before it cuts them off. */
  readonly closeLimitMs?: number;
}

export interface Listening {
  /** Where it can be reached: `http://127.0.0.1:7020`. */
  readonly url: string;
  /** Takes no new requests, finishes those under way within the limit, then closes. May be called again. */
  close(): Promise<void>;
}

/** Serves an application. Throws ADDRESS_IN_USE, or CONFIG_INVALID for an address that is not this machine's. */
export async function listen(app: Express, options: ListenOptions): Promise<Listening> {
  const { host = '127.0.0.1', port, closeLimitMs = 5_000 } = options;
  const server = createServer(
    {
      headersTimeout: options.headersTimeoutMs ?? 10_000,
      // Node.js has one limit for all requests, and an upload takes its time.
      requestTimeout: 0,
      connectionsCheckingInterval: 500,
      keepAliveTimeout: 5_000,
    },
    app,
  );
  server.on('request', limitRequest(options.requestTimeoutMs ?? 30_000));
  await bind(server, host, port);
  const { address, family, port: bound } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    close: () => (closed ??= close(server, closeLimitMs)),
  };
}

const slow = new WeakSet<IncomingMessage>();

/** From now on a request's body may take as long as whoever reads it allows. */
export function takesTime(request: IncomingMessage): void {
  slow.add(request);
}

/** Cuts off whoever has not sent a request's body by then. */
function limitRequest(ms: number) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    const limit = setTimeout(() => {
      if (request.complete || slow.has(request)) return;
      if (!response.headersSent)
        request.socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
      request.socket.destroySoon();
    }, ms);
    request.once('close', () => clearTimeout(limit));
  };
}

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(bindError(error, host, port)));
    server.listen(port, host, resolve);
  });
}

function bindError(error: NodeJS.ErrnoException, host: string, port: number): PortcullisError {
  if (error.code === 'EADDRINUSE') {
    return new PortcullisError('ADDRESS_IN_USE', `another process listens on ${host}:${port}`, {
      hint: `stop it (\`ss -ltnp 'sport = :${port}'\` shows which it is), or choose another address with PORTCULLIS_HTTP`,
      details: { host, port },
      cause: error,
    });
  }
  return new PortcullisError('CONFIG_INVALID', `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
    hint:
      error.code === 'EACCES'
        ? 'ports below 1024 are for root: choose a higher one'
        : "choose an address of this machine's own, such as 127.0.0.1 or 0.0.0.0",
    details: { host, port },
    cause: error,
  });
}

async function close(server: Server, limitMs: number): Promise<void> {
  // A connection kept alive would hold the server open after its last answer.
  server.on('request', (_request, response) => response.setHeader('connection', 'close'));
  const done = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const limit = setTimeout(() => server.closeAllConnections(), limitMs);
  await done;
  clearInterval(sweep);
  clearTimeout(limit);
}
