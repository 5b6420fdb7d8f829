import { destination as fileDescriptor, pino, stdTimeFunctions } from 'pino';
import { z } from 'zod';
import type { LogLevel } from './log-level.js';

/** What a line is about. `code` is a reason code; `err` is anything thrown. */
export interface LogFacts {
  readonly code?: string;
  readonly err?: unknown;
  readonly [field: string]: unknown;
}

export interface LogContext {
  readonly runId?: string;
  readonly job?: string;
  readonly region?: string;
  readonly [field: string]: unknown;
}

export interface Log {
  debug(facts: LogFacts, message: string): void;
  info(facts: LogFacts, message: string): void;
  warn(facts: LogFacts, message: string): void;
  error(facts: LogFacts, message: string): void;
  /** A log whose every line carries `context` too. */
  child(context: LogContext): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** One readable line each instead of JSON: for a person at a terminal. */
  readonly pretty?: boolean;
  /** Where lines go, each with its line end. Absent: standard error, which leaves standard output to results. */
  readonly to?: { write(line: string): void };
}

/**
 * A log of JSON lines: `level` as a word, `time` in UTC (ISO 8601), `message`, and the facts. Tokens,
 * passwords and the passwords in URLs are taken out of every line, wherever they stand in it.
 */
export function createLogger(options: LogOptions): Log {
  // Synchronous, so that the last lines before an exit are not lost.
  const to = options.to ?? fileDescriptor({ dest: 2, sync: true });
  const logger = pino(
    {
      level: options.level,
      messageKey: 'message',
      timestamp: stdTimeFunctions.isoTime,
      base: { pid: process.pid },
      formatters: { level: (label) => ({ level: label }) },
      hooks: {
        streamWrite: (line) => (options.pretty === true ? prettyLine(redact(line)) : redact(line)),
      },
    },
    to,
  );
  return wrap(logger);
}

function wrap(logger: pino.Logger): Log {
  return {
    debug: (facts, message) => logger.debug(facts, message),
    info: (facts, message) => logger.info(facts, message),
    warn: (facts, message) => logger.warn(facts, message),
    error: (facts, message) => logger.error(facts, message),
    child: (context) => wrap(logger.child(context)),
  };
}

const Line = z.looseObject({ level: z.string(), time: z.string(), message: z.string().default('') });
const Thrown = z.looseObject({ type: z.string().optional(), message: z.string() });

/** A log line of JSON as a person reads it: time of day in UTC, level, message, then the facts as name=value. */
function prettyLine(json: string): string {
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

/**
 * Takes secrets out of a line of JSON, wherever they stand: by field name at any depth, and by shape inside
 * any text. It works on the finished line, because a secret in an error's message or stack has no field name.
 */
export function redact(line: string): string {
  return line
    .replace(SECRET_FIELD, '"$1":"***"')
    .replace(URL_PASSWORD, '$1:***@')
    .replace(BEARER, '$1 ***')
    .replace(API_TOKEN, 'pcl_***');
}

const SECRET_FIELD =
  /"([^"\\]*(?:password|passwd|secret|token|authorization|cookie|api[-_]?key))":"(?:[^"\\]|\\.)*"/gi;
/** Up to the last @ of the word: a password may have one of its own. */
const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:@/"\\]*):(?:[^\s"\\]|\\.)+@/gi;
const BEARER = /\b(Bearer|Basic)\s+[\w.~+/=-]+/gi;
const API_TOKEN = /\bpcl_[\w-]{20,}/g;
