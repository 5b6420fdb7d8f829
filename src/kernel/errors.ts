/**
 * Every error that a person can meet, with its code. `docs/reference/errors.md` explains each one, and a test keeps
 * the two in step. `status` is the HTTP status; the command line's exit codes are in
 * src/cli/exit.ts.
 */
export const ERRORS = {
  USAGE_INVALID: { status: 400, title: 'The command line has faults' },
  CONFIG_INVALID: { status: 500, title: 'The configuration has faults' },
  DATABASE_UNREACHABLE: { status: 503, title: 'The database cannot be reached' },
  SERVER_UNREACHABLE: { status: 503, title: 'The server cannot be reached' },
  DATABASE_REFUSED: { status: 503, title: 'The database refused the connection' },
  DATABASE_SETTING: { status: 503, title: 'A setting of the database cannot be overridden' },
  POOLER_UNSUITABLE: { status: 503, title: 'The connection pooler cannot be used in its mode' },
  DATABASE_NEWER: { status: 503, title: 'The database was migrated by a newer Portcullis' },
  DATABASE_OUTDATED: { status: 503, title: 'The database needs portcullis migrate' },
  DATABASE_READ_ONLY: { status: 503, title: 'The database takes no writes' },
  DATABASE_LOCKED: { status: 503, title: 'A lock keeps a table from being read' },
  MIGRATION_LOCKED: { status: 503, title: 'A lock kept the migration waiting' },
  ROLES_MISSING: { status: 503, title: 'Roles are missing that this login may not create' },
  MIGRATION_CHANGED: { status: 503, title: 'A migration that already ran has changed' },
  UNINSTALL_REFUSED: { status: 409, title: 'The database cannot be left yet' },
  EMBEDDED_POSTGRES_MISSING: { status: 503, title: 'The embedded PostgreSQL is not installed' },
  EMBEDDED_POSTGRES_FAILED: { status: 503, title: 'The embedded PostgreSQL did not start' },
  FOLDER_HELD: { status: 409, title: 'Another process holds this folder' },
  ADDRESS_IN_USE: { status: 500, title: 'The HTTP address is taken' },

  POLICY_INVALID: { status: 422, title: 'The policy file has faults' },
  POLICY_MISSING: { status: 404, title: 'There is no policy for this job' },
  FLAG_CHANGE_INVALID: { status: 422, title: 'The flag cannot be set to that' },
  FLAGS_ELSEWHERE: { status: 409, title: 'Flags are not changed here' },
  ADMISSION_EXCEEDED: { status: 409, title: 'The version is not admitted to that share' },
  BREAK_GLASS_REFUSED: { status: 409, title: 'Break-glass is not available for that' },
  INITIAL_DONE: { status: 409, title: 'A version was admitted in this region before' },
  FLAG_REVISION_STALE: { status: 409, title: 'The flag has changed since it was read' },

  VERSION_UNKNOWN: { status: 404, title: 'No worker has ever announced this version' },
  ROLLOUT_UNPLANNED: { status: 409, title: 'The policy has no waves' },
  ROLLOUT_ACTIVE: { status: 409, title: 'A rollout of this job is under way' },
  ROLLOUT_REFUSED: { status: 409, title: 'This version cannot be rolled out' },
  ROLLOUT_NONE: { status: 404, title: 'No rollout of this job is under way' },
  ROLLOUT_STATE: { status: 409, title: 'The rollout is not in a state for that' },

  JOB_UNKNOWN: { status: 404, title: 'There is no such job' },
  JOB_INVALID: { status: 500, title: 'The job declares something that cannot work' },
  REGION_UNKNOWN: { status: 404, title: 'There is no such region' },
  RUN_UNKNOWN: { status: 404, title: 'There is no such run' },
  RUN_AMBIGUOUS: { status: 409, title: 'Several runs begin with that id' },
  WORKER_MISSING: { status: 409, title: 'No worker runs this version in this region' },
  FLAG_CHANGE_UNKNOWN: { status: 404, title: 'The flag had no such revision' },
  RUN_ACTIVE: { status: 409, title: 'A run of this job is active in this region' },

  GATE_NOT_KILLED: { status: 409, title: 'The gate is not killed' },
  REARM_OUTDATED: { status: 409, title: 'The gate was killed again since the re-arm was asked for' },
  VERSION_NOT_QUARANTINED: { status: 409, title: 'The version is not quarantined' },
  DATABASE_UNCONFIRMED: { status: 409, title: 'The database is another one than before' },
  DATABASE_CONFIRMED: { status: 409, title: 'The database is confirmed already' },
  DATABASE_IDENTITY_HIDDEN: { status: 409, title: 'The service does not tell which database it is' },
  NOTHING_REACHED: { status: 409, title: 'There was nothing to act on' },
  KILL_INCOMPLETE: { status: 503, title: 'The kill has not taken hold everywhere' },

  INCIDENT_UNKNOWN: { status: 404, title: 'There is no such incident' },
  INCIDENT_STATE: { status: 409, title: 'The incident is not at that point' },

  PLAN_INVALID: { status: 500, title: 'The job proposed a change that is not allowed' },
  PLAN_WROTE: { status: 500, title: 'The job tried to write while planning' },
  TABLE_UNWRITABLE: { status: 500, title: 'A table of the job cannot be written' },
  BATCH_INTERRUPTED: { status: 500, title: 'A batch was interrupted each time that it was tried' },
  TIME_LIMIT: { status: 504, title: 'A phase of a run took longer than its limit' },
  RESERVATION_UNAVAILABLE: { status: 503, title: 'A value that is unique across regions cannot be reserved' },
  LEASE_LOST: { status: 409, title: 'Another worker took this run over' },

  RESTORE_INEXACT: { status: 409, title: 'The run cannot be restored exactly' },
  SUBJECT_UNKNOWN: { status: 404, title: 'No job changes such a thing' },

  ALERT_REFUSED: { status: 422, title: 'An alert names no job or region that there is' },
  ALERT_UNKNOWN: { status: 404, title: 'There is no such alert' },
  ALERT_NOT_FIRING: { status: 409, title: 'The alert does not fire' },
  ALERT_UNHANDLED: { status: 503, title: 'An alert has not taken hold everywhere' },

  NOTIFICATION_UNKNOWN: { status: 404, title: 'There is no such notification' },
  NOTIFICATION_NOT_DEAD: { status: 409, title: 'No delivery of the notification was given up' },
  RECEIVER_UNKNOWN: { status: 404, title: 'There is no such receiver' },

  CSV_INVALID: { status: 422, title: 'A CSV file has faults' },
  DIRECTORY_BUSY: { status: 409, title: 'The directory is in use' },
  FILE_UNREADABLE: { status: 422, title: 'A file cannot be read' },
  FILE_UNWRITABLE: { status: 422, title: 'A file cannot be written' },

  REQUEST_INVALID: { status: 400, title: 'The request has faults' },
  REVISION_STALE: { status: 409, title: 'It has changed since it was read' },
  IDEMPOTENCY_KEY_REUSED: { status: 422, title: 'The idempotency key came with another call before' },
  IDEMPOTENCY_KEY_IN_USE: { status: 409, title: 'An act with this idempotency key is under way' },
  IDEMPOTENCY_OUTCOME_UNKNOWN: { status: 409, title: 'Whether the act was carried out is unknown' },
  IDEMPOTENCY_ANSWER_NOT_KEPT: { status: 409, title: 'The act was carried out; its answer is not kept' },
  TOKEN_MISSING: { status: 401, title: 'A bearer token is needed' },
  TOKEN_REFUSED: { status: 401, title: 'The bearer token is not valid' },
  SESSION_ENDED: { status: 401, title: 'The session has ended' },
  SIGN_IN_INSECURE: { status: 403, title: 'Nobody signs in over plain HTTP' },
  SIGN_IN_REFUSED: { status: 403, title: 'The sign-in was refused' },
  SLACK_REFUSED: { status: 401, title: 'A request of Slack was refused' },
  SIGN_IN_BY_PROVIDER: { status: 403, title: 'People sign in by the identity provider' },
  PROVIDER_UNREACHABLE: { status: 503, title: 'The identity provider does not answer' },
  WORKFLOW_REFUSED: { status: 403, title: 'The workflow is not trusted' },
  IDENTITY_LINKED: { status: 409, title: 'That identity is linked already' },
  MACHINE_CANNOT_SIGN_IN: { status: 422, title: 'Machines do not sign in' },
  ORIGIN_REFUSED: { status: 403, title: 'The request comes from another site' },
  HOST_REFUSED: { status: 421, title: 'The console is not served under this name' },
  TOKEN_NAME_INVALID: { status: 422, title: 'A token cannot have that name' },
  TOKEN_NAME_TAKEN: { status: 409, title: 'A token has that name already' },
  TOKEN_UNKNOWN: { status: 404, title: 'There is no such token' },
  PERSON_UNKNOWN: { status: 404, title: 'There is no such person' },
  PERSON_KNOWN: { status: 409, title: 'A person has that name already' },
  CODE_REFUSED: { status: 403, title: 'The code is not valid' },
  FORBIDDEN: { status: 403, title: 'This principal may not do that' },
  APPROVAL_UNKNOWN: { status: 404, title: 'There is no such request for approval' },
  APPROVAL_SELF: { status: 403, title: 'Nobody approves their own request' },
  MACHINE_CANNOT_APPROVE: { status: 403, title: 'Machines do not approve' },
  APPROVER_UNPROVEN: { status: 403, title: 'The approver’s token is known to others' },
  APPROVER_TOO_NEW: { status: 403, title: 'The approver was introduced too recently' },
  ALONE_REFUSED: { status: 409, title: 'Somebody else can approve' },
  APPROVAL_DECIDED: { status: 409, title: 'That request is decided already' },
  APPROVAL_EXPIRED: { status: 409, title: 'That request has expired' },
  AUDIT_ENTRY_INVALID: { status: 422, title: 'This cannot go on the record' },
  NOT_FOUND: { status: 404, title: 'Not found' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'This address does not take that method' },
  STREAMS_FULL: { status: 503, title: 'Too many connections follow events' },
  TRANSFERS_FULL: { status: 503, title: 'Too many uploads or downloads are under way' },
  BODY_TOO_LARGE: { status: 413, title: 'The request body is too large' },
  INTERNAL: { status: 500, title: 'Internal error' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorFacts {
  /** What the reader can do about it. */
  readonly hint?: string;
  /** Machine-readable particulars, for `--json` and problem+json. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** An error that names what is wrong, where, and what to do; its code stands in `docs/reference/errors.md`. */
export class PortcullisError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'PortcullisError';
    this.code = code;
    this.hint = facts.hint;
    this.details = facts.details ?? {};
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.message === '') {
    return thrown.errors.map(messageOf).join('; ');
  }
  return thrown instanceof Error ? thrown.message : String(thrown);
}
