import { z } from 'zod';
import { messageOf } from '../../kernel/errors.js';
import { shorten } from '../../kernel/text.js';

/** What a Prometheus said: the values of the series it found, or why it said nothing. */
export type PrometheusAnswer =
  | {
      readonly answered: true;
      readonly values: readonly number[];
      /** Series that are there and are no number, by their labels: they are evidence of nothing. Absent: none. */
      readonly nan?: readonly string[];
      /** When the query was evaluated, by the server's clock, in milliseconds since 1970; absent where it found nothing. */
      readonly at?: number;
      /** Why series may be missing: a part of the stores behind it did not answer. */
      readonly partial?: string;
    }
  | { readonly answered: false; readonly problem: string };

const MOST_BYTES = 1024 * 1024;
const PROBLEM_LENGTH = 500;

const Sample = z.tuple([z.number(), z.string()]);
const Answer = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('success'),
    // `infos`, which speak of the query's style, are not read.
    warnings: z.array(z.string()).optional(),
    data: z.discriminatedUnion('resultType', [
      z.object({
        resultType: z.literal('vector'),
        result: z.array(z.object({ metric: z.record(z.string(), z.string()).default({}), value: Sample })),
      }),
      z.object({ resultType: z.literal('scalar'), result: Sample }),
    ]),
  }),
  z.object({ status: z.literal('error'), error: z.string() }),
]);

/**
 * Asks one Prometheus for the value of a query now, over its HTTP API. Series that are NaN are answered by name.
 * Never throws, never follows a redirect, and takes no longer than `timeoutMs`.
 */
export async function askPrometheus(
  url: string,
  query: string,
  timeoutMs: number,
): Promise<PrometheusAnswer> {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}/api/v1/query`, {
      method: 'POST',
      redirect: 'error',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: new URLSearchParams({ query, timeout: `${timeoutMs}ms` }).toString(),
      signal: limit,
    });
    return read(response.status, await bounded(response));
  } catch (error) {
    if (limit.aborted) return { answered: false, problem: `no answer within ${timeoutMs} ms` };
    return { answered: false, problem: messageOf((error as { cause?: unknown }).cause ?? error) };
  }
}

function read(status: number, text: string): PrometheusAnswer {
  const parsed = Answer.safeParse(jsonOf(text));
  if (!parsed.success) return { answered: false, problem: `HTTP ${status}, and no answer of Prometheus'` };
  if (parsed.data.status === 'error')
    return { answered: false, problem: shorten(parsed.data.error, PROBLEM_LENGTH) };
  const { data, warnings = [] } = parsed.data;
  const series =
    data.resultType === 'scalar'
      ? [{ name: 'the scalar', at: data.result[0], value: numberOf(data.result[1]) }]
      : data.result.map(({ metric, value: [at, value] }) => ({
          ...{ name: nameOf(metric), at, value: numberOf(value) },
        }));
  const [first] = series;
  const nan = series.filter(({ value }) => Number.isNaN(value)).map(({ name }) => name);
  return {
    answered: true,
    values: series.map(({ value }) => value).filter((value) => !Number.isNaN(value)),
    ...(nan.length > 0 && { nan }),
    ...(first && { at: first.at * 1_000 }),
    ...(warnings.length > 0 && { partial: shorten(warnings.join('; '), PROBLEM_LENGTH) }),
  };
}

/** How far an answer's time may be from now: Prometheus itself takes a sample of five minutes ago for one of now. */
const STALE_MS = 5 * 60_000;

/** An answer of another time is none: a cache, or a server whose clock is wrong. `now` is the database's. */
export function current(answer: PrometheusAnswer, now: Date): PrometheusAnswer {
  if (!answer.answered || answer.at === undefined) return answer;
  if (Math.abs(now.getTime() - answer.at) <= STALE_MS) return answer;
  const at = new Date(answer.at).toISOString();
  return { answered: false, problem: `its answer is as of ${at}, and now it is ${now.toISOString()}` };
}

const NAME_LENGTH = 200;

/** A series as PromQL writes it. */
function nameOf(metric: Readonly<Record<string, string>>): string {
  const { __name__: name = '', ...labels } = metric;
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return shorten(`${name}{${pairs.join(', ')}}`, NAME_LENGTH);
}

/** As Prometheus writes it: `+Inf` and `-Inf` besides what JavaScript reads. */
function numberOf(text: string): number {
  if (/^[+-]?Inf$/.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  return text === '' ? NaN : Number(text);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function bounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const body = response.body as AsyncIterable<Uint8Array> | null;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    // Leaving the loop lets the connection go.
    if (bytes > MOST_BYTES)
      throw new Error(`the answer is larger than ${MOST_BYTES} bytes: the query has too many series`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
