import { createServer } from 'node:net';
import { messageOf } from '../../kernel/errors.js';
import type { PerspectiveAnswer } from '../../lookup/dns.js';
import type { Settings } from '../app-port.js';
import type { Check, Finding, Patient } from './check.js';

type Found = Omit<Finding, 'check'>;

/** A name that every resolver can say something about: that there is none, or none here. */
const PROBE = '_portcullis-challenge.example.com';
const PROBE_TIMEOUT_MS = 10_000;
const HTTP_TIMEOUT_MS = 2_000;

export const resolvers: Check<Patient> = {
  name: 'resolvers',
  examine: async ({ askResolvers }) =>
    resolverFindings(await askResolvers(PROBE, AbortSignal.timeout(PROBE_TIMEOUT_MS))),
};

/** A resolver that refuses this name may still know others: it answers. One that is silent does not. */
export function resolverFindings(answers: readonly PerspectiveAnswer[]): Found[] {
  return answers.map(({ perspective, answer }): Found => {
    if (answer.kind !== 'indeterminate') return { mark: 'ok', found: `${perspective} answers` };
    if (answer.code === 'REFUSED' || answer.code === 'SERVFAIL') {
      return { mark: 'warn', found: `${perspective} answers ${answer.code} for ${PROBE}` };
    }
    return {
      mark: 'warn',
      found: `${perspective} does not answer: ${answer.code}`,
      hint: 'name resolvers that can be reached with PORTCULLIS_RESOLVERS; until then no domain is verified or demoted',
    };
  });
}

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
