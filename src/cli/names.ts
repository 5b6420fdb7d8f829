import { PortcullisError, type ErrorCode } from '../base/errors.js';
import { nearest } from '../base/nearest.js';
import type { Policy } from '../flags/policy.js';
import type { LoadedJob } from '../jobs/registry.js';
import type { App, Installation } from './app-port.js';

/** A job that is installed and has a policy. */
export interface KnownJob {
  readonly job: LoadedJob;
  readonly policy: Policy;
}

/** The job of that name. Throws JOB_UNKNOWN with the nearest name, or POLICY_MISSING. */
export async function knownJob(app: App, installation: Installation, name: string): Promise<KnownJob> {
  const job = installation.jobs.find(({ definition }) => definition.name === name);
  if (!job) {
    const jobs = installation.jobs.map(({ definition }) => definition.name);
    throw unknownName('JOB_UNKNOWN', 'job', name, jobs);
  }
  const policy = (await app.policies(installation)).find((each) => each.job === name);
  if (policy) return { job, policy };
  throw new PortcullisError('POLICY_MISSING', `no policy was applied for ${name}`, {
    mend: `write one into ${installation.flagsFolder} and run portcullis flags apply`,
    details: { job: name },
  });
}

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
    mend:
      meant !== undefined
        ? `did you mean ${meant}?`
        : there.length === 0
          ? `there is no ${what} at all; apply a policy first: portcullis flags apply`
          : `there is ${there.join(', ')}`,
    details: { [what]: name, known: there, ...(meant !== undefined && { nearest: meant }) },
  });
}
