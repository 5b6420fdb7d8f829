import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export type UnleashMode =
  'ok' | 'unauthorised' | 'forbidden' | 'malformed' | 'not-json' | 'failing' | 'hanging';

/**
 * A small HTTP server that speaks the part of the Unleash client API that a backend SDK polls: features with
 * an ETag of `"query:revision:variant"`, 304 where nothing changed, a token in the Authorization header.
 */
export class UnleashServer {
  mode: UnleashMode = 'ok';
  token = 'default:production.secret';
  /** Requests for features so far, and how many of them were answered with 304. */
  asked = 0;
  unchanged = 0;
  #features: unknown[] = [];
  #segments: unknown[] = [];
  #revision = 1;
  #port = 0;
  #server = createServer();
  readonly #sockets = new Set<Socket>();

  get url(): string {
    return `http://127.0.0.1:${this.#port}/api`;
  }

  say(features: readonly unknown[], segments: readonly unknown[] = []): void {
    this.#features = [...features];
    this.#segments = [...segments];
    this.#revision += 1;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Listens, on the same port as before where it did. */
  async open(): Promise<void> {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Hangs up on everybody and refuses further connections. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (request.url?.startsWith('/api/client/features') !== true) {
      response.writeHead(404).end();
      return;
    }
    this.asked += 1;
    if (this.mode === 'hanging') return;
    if (this.mode === 'unauthorised' || request.headers.authorization !== this.token) {
      response.writeHead(401).end();
      return;
    }
    if (this.mode === 'forbidden' || this.mode === 'failing') {
      response.writeHead(this.mode === 'forbidden' ? 403 : 500).end();
      return;
    }
    const etag = `"76d8bb0e:${this.#revision}:v1"`;
    if (request.headers['if-none-match'] === etag) {
      this.unchanged += 1;
      response.writeHead(304, { etag }).end();
      return;
    }
    response.writeHead(200, { etag, 'content-type': 'application/json' });
    if (this.mode === 'not-json') response.end('<html>a proxy in between</html>');
    else if (this.mode === 'malformed') response.end(JSON.stringify({ version: 2, features: 'none' }));
    else response.end(JSON.stringify({ version: 2, features: this.#features, segments: this.#segments }));
  }
}
