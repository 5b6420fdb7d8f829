import type { Installation, Settings, StartPolicies } from '../cli/app-port.js';
import { NO_DRIFT, policyDrift } from '../flags/policy-drift.js';
import { applyFirstPolicies, loadPolicies } from '../flags/policy-store.js';
import { readPolicies } from '../flags/policy.js';
import { kindsOfJobs } from '../worker/registry.js';

/**
 * A database's first start puts the policy files in force. No later start changes what is in force: it says how the
 * files differ. The files that Portcullis ships are nobody's own, and are compared with nothing.
 */
export async function startPolicies(
  { flagsShipped }: Pick<Settings, 'flagsShipped'>,
  { control, flagsFolder, jobs }: Pick<Installation, 'control' | 'flagsFolder' | 'jobs'>,
): Promise<StartPolicies> {
  const kindsOf = kindsOfJobs(jobs);
  if ((await loadPolicies(control)).length === 0) {
    const applied = await applyFirstPolicies(
      control,
      await readPolicies(flagsFolder, kindsOf),
      'system:start',
    );
    if (applied) return { applied };
  }
  return { drift: flagsShipped ? NO_DRIFT : await policyDrift(control, flagsFolder, kindsOf) };
}
