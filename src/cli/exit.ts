import { CommanderError } from 'commander';
import { ERRORS, PortcullisError, messageOf, type ErrorCode } from '../kernel/errors.js';
import { isUnreachable } from '../postgres/pool.js';
import { isReadOnly, readOnlyError } from '../postgres/read-only.js';
import { printable } from './display-width.js';
import type { ExitCode, Output } from './terminal.js';
import type { RunStatus } from '../runs/run-states.js';

/** What each exit code means, for help and documentation. */
export const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: 'done',
  1: 'failed',
  2: 'usage',
  3: 'held or killed',
  4: 'refused',
};

/**
 * The exit code of each error. 2: the command names or says something wrong. 3: a gate or a database is closed for now.
 * 4: a policy, an admission or a permission does not allow it, or a second person is missing. 1: everything else.
 */
export const EXITS: Readonly<Record<ErrorCode, ExitCode>> = {
  USAGE_INVALID: 2,
  CONFIG_INVALID: 2,
  DATABASE_UNREACHABLE: 1,
  SERVER_UNREACHABLE: 1,
  DATABASE_REFUSED: 1,
  DATABASE_SETTING: 1,
  POOLER_UNSUITABLE: 1,
  DATABASE_NEWER: 1,
  DATABASE_OUTDATED: 1,
  DATABASE_READ_ONLY: 1,
  DATABASE_LOCKED: 1,
  MIGRATION_LOCKED: 1,
  ROLES_MISSING: 1,
  MIGRATION_CHANGED: 1,
  UNINSTALL_REFUSED: 1,
  EMBEDDED_POSTGRES_MISSING: 1,
  EMBEDDED_POSTGRES_FAILED: 1,
  FOLDER_HELD: 1,
  ADDRESS_IN_USE: 1,
  POLICY_INVALID: 2,
  POLICY_MISSING: 2,
  FLAG_CHANGE_INVALID: 2,
  FLAGS_ELSEWHERE: 1,
  ADMISSION_EXCEEDED: 4,
  BREAK_GLASS_REFUSED: 4,
  INITIAL_DONE: 4,
  FLAG_REVISION_STALE: 1,
  VERSION_UNKNOWN: 2,
  ROLLOUT_UNPLANNED: 2,
  ROLLOUT_ACTIVE: 1,
  ROLLOUT_REFUSED: 4,
  ROLLOUT_NONE: 2,
  ROLLOUT_STATE: 1,
  JOB_UNKNOWN: 2,
  JOB_INVALID: 1,
  REGION_UNKNOWN: 2,
  RUN_UNKNOWN: 2,
  RUN_AMBIGUOUS: 2,
  WORKER_MISSING: 1,
  FLAG_CHANGE_UNKNOWN: 2,
  RUN_ACTIVE: 1,
  GATE_NOT_KILLED: 1,
  REARM_OUTDATED: 3,
  VERSION_NOT_QUARANTINED: 1,
  DATABASE_UNCONFIRMED: 3,
  DATABASE_CONFIRMED: 1,
  DATABASE_IDENTITY_HIDDEN: 1,
  NOTHING_REACHED: 1,
  KILL_INCOMPLETE: 1,
  INCIDENT_UNKNOWN: 2,
  INCIDENT_STATE: 1,
  PLAN_INVALID: 1,
  PLAN_WROTE: 1,
  TABLE_UNWRITABLE: 1,
  BATCH_INTERRUPTED: 1,
  TIME_LIMIT: 1,
  RESERVATION_UNAVAILABLE: 3,
  LEASE_LOST: 1,
  RESTORE_INEXACT: 4,
  SUBJECT_UNKNOWN: 2,
  ALERT_REFUSED: 1,
  ALERT_UNKNOWN: 2,
  ALERT_NOT_FIRING: 1,
  ALERT_UNHANDLED: 1,
  NOTIFICATION_UNKNOWN: 2,
  RECEIVER_UNKNOWN: 2,
  NOTIFICATION_NOT_DEAD: 1,
  CSV_INVALID: 2,
  DIRECTORY_BUSY: 1,
  FILE_UNREADABLE: 2,
  FILE_UNWRITABLE: 2,
  REQUEST_INVALID: 2,
  REVISION_STALE: 1,
  IDEMPOTENCY_KEY_REUSED: 2,
  IDEMPOTENCY_KEY_IN_USE: 1,
  IDEMPOTENCY_OUTCOME_UNKNOWN: 1,
  IDEMPOTENCY_ANSWER_NOT_KEPT: 1,
  TOKEN_MISSING: 4,
  TOKEN_REFUSED: 4,
  SESSION_ENDED: 4,
  SIGN_IN_INSECURE: 4,
  SIGN_IN_REFUSED: 4,
  SLACK_REFUSED: 4,
  SIGN_IN_BY_PROVIDER: 4,
  PROVIDER_UNREACHABLE: 1,
  WORKFLOW_REFUSED: 4,
  IDENTITY_LINKED: 1,
  MACHINE_CANNOT_SIGN_IN: 2,
  ORIGIN_REFUSED: 4,
  HOST_REFUSED: 1,
  TOKEN_NAME_INVALID: 2,
  TOKEN_NAME_TAKEN: 2,
  TOKEN_UNKNOWN: 2,
  PERSON_UNKNOWN: 2,
  PERSON_KNOWN: 2,
  CODE_REFUSED: 4,
  FORBIDDEN: 4,
  APPROVAL_UNKNOWN: 2,
  APPROVAL_SELF: 4,
  MACHINE_CANNOT_APPROVE: 4,
  APPROVER_UNPROVEN: 4,
  APPROVER_TOO_NEW: 4,
  ALONE_REFUSED: 4,
  APPROVAL_DECIDED: 1,
  APPROVAL_EXPIRED: 1,
  AUDIT_ENTRY_INVALID: 1,
  NOT_FOUND: 2,
  METHOD_NOT_ALLOWED: 2,
  STREAMS_FULL: 1,
  TRANSFERS_FULL: 1,
  BODY_TOO_LARGE: 2,
  INTERNAL: 1,
};

/**
 * The exit code for something thrown. Errors have theirs in the table; asking for help is not an error; everything
 * that commander refuses is usage; what nobody foresaw has failed.
 */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return error instanceof PortcullisError ? EXITS[error.code] : 1;
}

/**
 * The exit code for how a run ended. A closed gate is 3: the run was held before it wrote, or the gate closed on it
 * midway. A plan that the policy's rules refused is 4, an error 1. Nothing to do, and a scheduled run that was skipped
 * because another run was active, are done.
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
  refused: 4,
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
