import { PortcullisError, type ErrorCode } from './errors.js';
import { nearest } from './nearest.js';

/** Throws REGION_UNKNOWN with the nearest name, unless the region is one of those. */
export function requireRegion(region: string, regions: readonly string[]): void {
  if (!regions.includes(region)) throw unknownName('REGION_UNKNOWN', 'region', region, regions);
}

/** The error for a name that is none of those there are. */
export function unknownName(
  code: Extract<ErrorCode, 'JOB_UNKNOWN' | 'REGION_UNKNOWN'>,
  what: 'job' | 'region',
  name: string,
  there: readonly string[],
): PortcullisError {
  const meant = nearest(name, there);
  return new PortcullisError(code, `there is no ${what} ${name}`, {
    hint:
      meant !== undefined
        ? `did you mean ${meant}?`
        : there.length === 0
          ? `there is no ${what} at all; apply a policy first: portcullis flags apply`
          : `there is ${there.join(', ')}`,
    details: { [what]: name, known: there, ...(meant !== undefined && { nearest: meant }) },
  });
}
