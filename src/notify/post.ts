import { messageOf as errorText } from '../kernel/errors.js';

/** Whether a receiver took it, or what it said instead. */
export type Taken =
  | {
      readonly taken: true;
      /** Where it stands in Slack. */
      readonly at?: SlackPlace | undefined;
      /** Which workspace of Slack the token is of, where that was asked. */
      readonly team?: string | undefined;
    }
  | {
      readonly taken: false;
      readonly problem: string;
      /** It would say the same of the same again: no more attempts. */
      readonly final?: boolean;
      /** How long it asks not to be asked again. */
      readonly retryAfterMs?: number | undefined;
    };

/** A message's address in Slack. */
export interface SlackPlace {
  readonly channel: string;
  readonly ts: string;
}

export interface Parcel {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What came back, its text as far as it was asked for. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfterMs: number | undefined;
}

/** No receiver says more that is of use. */
const ANSWER_BYTES = 65_536;
/** A receiver that asks for more is tried again after this. */
const LONGEST_RETRY_MS = 3_600_000;

/**
 * Posts JSON. A redirect is not followed: signature and secrets are meant for the address that was configured. Never
 * throws, and never takes longer than `timeoutMs`, whatever the other side does. `reads`: the answer's body matters;
 * otherwise it is not waited for.
 */
export async function post(
  { url, headers, body }: Parcel,
  {
    timeoutMs,
    signal,
    reads,
  }: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly reads: boolean },
): Promise<Answer | Extract<Taken, { taken: false }>> {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json; charset=utf-8', 'user-agent': 'portcullis', ...headers },
      body,
      signal: AbortSignal.any([signal, limit]),
    });
    const text = reads ? await textOf(response) : '';
    // What it answers besides is of no use, and might never end.
    if (!response.bodyUsed) await response.body?.cancel();
    return { status: response.status, text, retryAfterMs: retryAfterOf(response) };
  } catch (error) {
    if (limit.aborted) return { taken: false, problem: `no answer within ${timeoutMs} ms` };
    if (signal.aborted) return { taken: false, problem: 'interrupted by a shutdown' };
    // What fetch throws says only that it failed; its cause says why. The address is in neither.
    return { taken: false, problem: errorText((error as { cause?: unknown }).cause ?? error) };
  }
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES) throw new Error(`the answer is longer than ${ANSWER_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

/** `Retry-After` in seconds; a date there, which neither Slack nor PagerDuty sends, is passed over. */
function retryAfterOf(response: Response): number | undefined {
  const seconds = /^\d{1,9}$/.exec(response.headers.get('retry-after') ?? '')?.[0];
  return seconds === undefined ? undefined : Math.min(Number(seconds) * 1_000, LONGEST_RETRY_MS);
}

/** What an HTTP status other than a success says. */
export function statusText(status: number): string {
  return `HTTP ${status}${status >= 300 && status < 400 ? ', and redirects are not followed' : ''}`;
}
