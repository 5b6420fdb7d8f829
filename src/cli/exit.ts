import { CommanderError } from 'commander';
import { ERRORS, PortcullisError, messageOf } from '../kernel/errors.js';
import { isUnreachable } from '../postgres/pool.js';
import { isReadOnly, readOnlyError } from '../postgres/read-only.js';
import { printable } from './display-width.js';
import type { ExitCode, Output } from './terminal.js';
import type { RunStatus } from '../runs/run-states.js';

/**
 * The exit code for something thrown. Errors carry their own; asking for help is not an error; everything
 * that commander refuses is usage; what nobody foresaw has failed.
 */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return error instanceof PortcullisError ? ERRORS[error.code].exit : 1;
}

/**
 * The exit code for how a run ended. Closed doors are 3: the run was held before it wrote, or the gate
 * closed on it midway. A plan that was refused, and an error, are 1. Nothing to do, and a slot that was
 * skipped because another run had it in hand, are done.
 */
const RUN_EXITS: Readonly<Record<RunStatus, ExitCode>> = {
  planning: 0,
  applying: 0,
  succeeded: 0,
  planned: 0,
  skipped: 0,
  held: 3,
  stopped: 3,
  killed: 3,
  refused: 1,
  failed: 1,
};

export function exitCodeOfRun(status: RunStatus): ExitCode {
  return RUN_EXITS[status];
}

export interface ErrorOptions {
  /** One JSON object instead of lines for a person. */
  readonly json: boolean;
  /** The stack too. */
  readonly verbose?: boolean;
}

/** What the command line and the environment ask of errors, known even where the command line is faulty. */
export function errorOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ErrorOptions {
  return {
    json: argv.includes('--json'),
    verbose: argv.includes('--verbose') || env['PORTCULLIS_LOG_LEVEL'] === 'debug',
  };
}

/**
 * Prints something thrown, to standard error: the code, what is wrong and where, and the hint. Prints nothing
 * where the exit code is 0, for then help or a version was asked for and shown.
 */
export function printError(
  error: unknown,
  options: ErrorOptions,
  stderr: Pick<Output, 'write'> = process.stderr,
): void {
  if (exitCodeOf(error) === 0) return;
  const known = asPortcullisError(error);
  const stack = options.verbose === true && error instanceof Error ? error.stack : undefined;
  if (options.json) {
    const { code, message, hint, details } = known;
    const { title } = ERRORS[code];
    stderr.write(
      `${JSON.stringify({ error: { code, title, message, ...(hint !== undefined && { hint }), details, ...(stack !== undefined && { stack }) } })}\n`,
    );
    return;
  }
  const [first = '', ...more] = known.message.split('\n').map(printable);
  const lines = [`error ${known.code}: ${first}`, ...more.map((line) => `  ${line}`)];
  if (known.hint !== undefined) lines.push(`  hint: ${printable(known.hint)}`);
  if (stack !== undefined) lines.push(stack);
  stderr.write(`${lines.join('\n')}\n`);
}

function asPortcullisError(error: unknown): PortcullisError {
  if (error instanceof PortcullisError) return error;
  if (error instanceof CommanderError) return usageError(error);
  if (isReadOnly(error)) return readOnlyError(error);
  if (isUnreachable(error)) {
    return new PortcullisError('DATABASE_UNREACHABLE', messageOf(error), {
      hint: 'check that the database runs and can be reached, and try again: portcullis doctor',
      cause: error,
    });
  }
  return new PortcullisError('INTERNAL', messageOf(error) || 'something was thrown without a message', {
    hint: 'try again with --verbose to see where it came from, and report it',
    cause: error,
  });
}

/** Commander's message, of which the first line says what is wrong and the second, if any, what was meant. */
function usageError(error: CommanderError): PortcullisError {
  if (error.code === 'commander.help') {
    return new PortcullisError('USAGE_INVALID', 'a command is missing', {
      hint: 'choose one of those above',
    });
  }
  const [first = '', hint] = error.message.replace(/^error: /, '').split('\n');
  const meant = hint?.replace(/^\(Did you mean (.*)\?\)$/, 'did you mean $1?');
  return new PortcullisError('USAGE_INVALID', first, {
    hint: meant ?? 'ask for --help with the command to see what it takes',
  });
}
