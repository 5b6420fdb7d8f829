import type { OperationName, Operations } from '../operations/list.js';
import type { InputOf, OutputOf } from '../operations/operation.js';
import type { Server } from './credentials.js';

/** Calls an operation, wherever it is carried out. Throws what the operation throws. */
export type Invoke = <Name extends OperationName>(
  name: Name,
  input: InputOf<Operations[Name]>,
) => Promise<OutputOf<Operations[Name]>>;

/** How long a server may take to answer. */
const ANSWER_MS = 60_000;

/** Calls operations of a server. `ms`: how long it may take to answer. */
export async function invokeAt(
  server: Pick<Server, 'url'> & Partial<Server>,
  ms = ANSWER_MS,
): Promise<Invoke> {
  const { createClient } = await import('../client/client.js');
  const { patientFetch } = await import('./patient-fetch.js');
  const client = createClient({ ...server, fetch: patientFetch() });
  return async (name, input) => {
    // It bounds the answer, and of a stream its beginning: that may take as long as its lines are read.
    const slow = new AbortController();
    const timer = setTimeout(() => slow.abort(new Error(`no answer within ${ms / 1_000} s`)), ms);
    try {
      return await client.call(name, ...([input, { signal: slow.signal }] as never));
    } finally {
      clearTimeout(timer);
    }
  };
}
