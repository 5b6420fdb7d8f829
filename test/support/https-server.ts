import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { testCertificate, testKey } from './tls-fixture.js';

export interface HttpsServer {
  readonly port: number;
  /** Connections taken so far. */
  connections(): number;
  close(): Promise<void>;
}

/** An HTTPS server on loopback with the fixture's certificate, or another one for the same key. */
export async function startHttpsServer(
  listener: RequestListener,
  certificate = testCertificate,
): Promise<HttpsServer> {
  const server = createServer({ key: testKey, cert: certificate }, listener);
  const open = new Set<Duplex>();
  let taken = 0;
  server.on('connection', (socket) => {
    taken += 1;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port');
  return {
    port: address.port,
    connections: () => taken,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
