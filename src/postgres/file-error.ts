import { PortcullisError, messageOf } from '../kernel/errors.js';
import { isUnreachable } from './pool.js';

/** Whether an error is the file system's, and not that of a program or a connection. */
export function isOfFiles(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('errno' in error) || isUnreachable(error))
    return false;
  const { syscall } = error as { syscall?: unknown };
  return typeof syscall === 'string' && !/^(spawn|connect|listen|bind)/.test(syscall);
}

/** What the file system refused, by a code of its own with what to do about it; any other error as it is. */
export function fileError(
  code: 'FILE_UNREADABLE' | 'FILE_UNWRITABLE',
  error: unknown,
  hint: string,
): unknown {
  return isOfFiles(error) ? new PortcullisError(code, messageOf(error), { hint, cause: error }) : error;
}
