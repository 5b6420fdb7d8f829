import { defineJob } from '../../../sdk/index.js';
import { domainClaim } from '../../../jobs/domain-claim/job.js';
import { plan } from './plan.js';

/**
 * domain-claim as it shipped on the day of the incident: meant to verify sooner, by looking at every pending
 * domain in each run, and faulty. See queries.ts for what its selection lost.
 */
export const lostCondition = defineJob({
  ...domainClaim,
  version: '1.1.0',
  plan,
});
