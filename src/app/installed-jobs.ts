import { domainClaim } from '../jobs/domain-claim/job.js';
import type { InstalledJob } from '../worker/registry.js';

/** The jobs that this program can run; `build` is what identifies the build, as CI says. */
export function installedJobs(build: string | undefined): readonly InstalledJob[] {
  return [{ definition: domainClaim, folder: new URL('../jobs/domain-claim/', import.meta.url), build }];
}
