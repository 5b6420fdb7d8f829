import { destination as fileDescriptor, pino, stdTimeFunctions } from 'pino';
import { prettyLine } from './pretty-line.js';
import { redact } from './redact.js';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

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
