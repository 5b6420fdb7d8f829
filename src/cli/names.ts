import { PortcullisError } from '../kernel/errors.js';
import { unknownName } from '../kernel/unknown-name.js';
import type { Policy } from '../flags/policy.js';
import type { KnownJob } from '../worker/registry.js';
import type { App, Installation } from './app-port.js';

export { requireRegion, unknownName } from '../kernel/unknown-name.js';

/** The regions of these policies, each once. */
export function regionsIn(policies: readonly Pick<Policy, 'regions'>[]): string[] {
  return [...new Set(policies.flatMap(({ regions }) => regions))];
}

/** A job that is installed and has a policy. */
export interface GovernedJob {
  readonly job: KnownJob;
  readonly policy: Policy;
}

/** The job of that name. Throws JOB_UNKNOWN with the nearest name, or POLICY_MISSING. */
export async function knownJob(app: App, installation: Installation, name: string): Promise<GovernedJob> {
  const job = installation.jobs.find(({ definition }) => definition.name === name);
  if (!job) {
    const jobs = installation.jobs.map(({ definition }) => definition.name);
    throw unknownName('JOB_UNKNOWN', 'job', name, jobs);
  }
  const policy = (await app.policies(installation)).find((each) => each.job === name);
  if (policy) return { job, policy };
  throw new PortcullisError('POLICY_MISSING', `no policy was applied for ${name}`, {
    hint: `write one into ${installation.flagsFolder} and run portcullis flags apply`,
    details: { job: name },
  });
}
