import { messageOf as errorText } from '../kernel/errors.js';
import { signedHeaders } from './signature.js';

export interface Parcel {
  /** The notice's id. */
  readonly id: string;
  readonly body: string;
}

/** Whether a receiver took it, or what it said instead. */
export type Taken = { readonly taken: true } | { readonly taken: false; readonly problem: string };

/**
 * Posts one parcel. Any 2xx takes it. A redirect does not: the signature is meant for the address that was
 * configured. Never throws, and never takes longer than `timeoutMs`, whatever the other side does.
 */
export async function post(
  url: string,
  secret: string,
  { id, body }: Parcel,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Taken> {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'portcullis',
        ...signedHeaders(secret, id, body, Math.floor(Date.now() / 1_000)),
      },
      body,
      signal: AbortSignal.any([signal, limit]),
    });
    // What it answers besides is of no use, and might never end.
    await response.body?.cancel();
    if (response.ok) return { taken: true };
    const redirect = response.status >= 300 && response.status < 400;
    return {
      taken: false,
      problem: `HTTP ${response.status}${redirect ? ', and redirects are not followed' : ''}`,
    };
  } catch (error) {
    if (limit.aborted) return { taken: false, problem: `no answer within ${timeoutMs} ms` };
    if (signal.aborted) return { taken: false, problem: 'interrupted by a shutdown' };
    // What fetch throws says only that it failed; its cause says why. The address is in neither.
    return { taken: false, problem: errorText((error as { cause?: unknown }).cause ?? error) };
  }
}
