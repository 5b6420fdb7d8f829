import { PortcullisError, messageOf } from '../base/errors.js';
import { isUnreachable } from '../store/pool.js';

/** What the file system refused, by a code of its own with what to do about it; any other error as it is. */
export function fileError(
  code: 'FILE_UNREADABLE' | 'FILE_UNWRITABLE',
  error: unknown,
  mend: string,
): unknown {
  const refused = typeof error === 'object' && error !== null && 'syscall' in error && 'errno' in error;
  return refused && !isUnreachable(error)
    ? new PortcullisError(code, messageOf(error), { mend, cause: error })
    : error;
}
