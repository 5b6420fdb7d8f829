import { createServer } from 'node:net';
import { messageOf } from '../../kernel/errors.js';
import type { Check, Found } from '../../doctor/patient.js';
import type { Settings } from '../app-port.js';

const HTTP_TIMEOUT_MS = 2_000;

/** Free, or served by Portcullis; anything else keeps `start` from serving. */
export const http: Check<Settings> = {
  name: 'http',
  examine: async ({ http: { host, port } }) => {
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    if (port === 0) return [{ mark: 'ok', found: 'any free port' }];
    const taken = await whyTaken(host, port);
    if (taken === undefined) return [{ mark: 'ok', found: `${address} is free` }];
    if (taken !== 'EADDRINUSE') {
      return [
        {
          mark: 'fail',
          found: `cannot listen on ${address}: ${taken}`,
          hint: 'name an address of this machine with PORTCULLIS_HTTP, such as 127.0.0.1:7020',
        },
      ];
    }
    return [await servedFinding(address)];
  },
};

async function servedFinding(address: string): Promise<Found> {
  try {
    const response = await fetch(`http://${address}/readyz`, {
      signal: AbortSignal.timeout(HTTP_TIMEOUT_MS),
    });
    const body: unknown = await response.json();
    const { status, reasons } = body as { status?: unknown; reasons?: unknown };
    if (status === 'ready') return { mark: 'ok', found: `${address} is served by Portcullis, and ready` };
    if (status === 'not-ready' && Array.isArray(reasons)) {
      return {
        mark: 'fail',
        found: `${address} is served by Portcullis, and not ready: ${reasons.join('; ')}`,
        hint: 'fix what it names; it becomes ready by itself',
      };
    }
  } catch (error) {
    return taken(address, messageOf(error));
  }
  return taken(address, 'it does not answer as Portcullis does');
}

function taken(address: string, why: string): Found {
  return {
    mark: 'fail',
    found: `${address} is taken by another program (${why})`,
    hint: 'stop that program, or choose another address with PORTCULLIS_HTTP',
  };
}

function whyTaken(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    probe.listen(port, host, () => probe.close(() => resolve(undefined)));
  });
}
