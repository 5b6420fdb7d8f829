import type { UnreachableDatabase } from '../../regions/query-regions.js';
import type { Finding } from './check.js';

/** A region database that could not be examined. */
export function unreachableFinding({ database, reason }: UnreachableDatabase): Omit<Finding, 'check'> {
  return {
    mark: 'fail',
    found: `${database} cannot be reached: ${reason}`,
    hint: 'check that its server runs and that it can be reached from here; its gates close by themselves meanwhile',
  };
}
