import { PortcullisError, messageOf } from '../base/errors.js';
import { isUnreachable } from '../store/pool.js';

/** What the file system refused, as FILE_UNREADABLE with what to do about it; any other error as it is. */
export function fileError(error: unknown, mend: string): unknown {
  const refused = typeof error === 'object' && error !== null && 'syscall' in error && 'errno' in error;
  return refused && !isUnreachable(error)
    ? new PortcullisError('FILE_UNREADABLE', messageOf(error), { mend, cause: error })
    : error;
}
