import { z } from 'zod';

const Line = z.looseObject({ level: z.string(), time: z.string(), message: z.string().default('') });
const Thrown = z.looseObject({ type: z.string().optional(), message: z.string() });

/** A log line of JSON as a person reads it: time of day in UTC, level, message, then the facts as name=value. */
export function prettyLine(json: string): string {
  const parsed = Line.safeParse(tryParse(json));
  if (!parsed.success) return json;
  const { level, time, message, err, ...facts } = parsed.data;
  const shown = Object.entries(facts)
    .filter(([name]) => name !== 'pid')
    .map(([name, value]) => `${name}=${text(value)}`);
  const thrown = Thrown.safeParse(err);
  if (thrown.success) shown.push(`error=${text(thrown.data.message)}`);
  return `${[time.slice(11), level.toUpperCase().padEnd(5), message, ...shown].join(' ').trimEnd()}\n`;
}

function tryParse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' && /^[\w.:+/@*-]+$/.test(value) ? value : JSON.stringify(value);
}
