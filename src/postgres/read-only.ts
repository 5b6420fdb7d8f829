import { PortcullisError, messageOf } from '../kernel/errors.js';

/** Whether a database refused to write because it is a standby, or was set read-only. */
export function isReadOnly(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  // A standby refuses `begin read write` as a feature that it does not support.
  return (
    code === '25006' || (code === '0A000' && typeof message === 'string' && /during recovery/.test(message))
  );
}

/** The error for a database that takes no writes. */
export function readOnlyError(error: unknown): PortcullisError {
  return new PortcullisError('DATABASE_READ_ONLY', `the database takes no writes: ${messageOf(error)}`, {
    hint: 'it is a standby, or was set read-only: name the primary in PORTCULLIS_DATABASE_URL, or promote this server',
    cause: error,
  });
}
