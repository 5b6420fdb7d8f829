import type { Finding } from '../../doctor/patient.js';
import { isSame } from '../../flags/policy-diff.js';
import { diffPolicies } from '../../flags/policy-store.js';
import { readPolicies } from '../../flags/policy.js';
import { countOf } from '../../kernel/words.js';
import { kindsOfJobs } from '../../worker/registry.js';
import type { Installation } from '../app-port.js';

/** Whether the policy files of this machine are in force. */
export async function policyFiles({
  control,
  flagsFolder,
  jobs,
}: Pick<Installation, 'control' | 'flagsFolder' | 'jobs'>): Promise<Omit<Finding, 'check'>> {
  const files = await readPolicies(flagsFolder, kindsOfJobs(jobs));
  if (files.length === 0) {
    return {
      mark: 'warn',
      found: `${flagsFolder} has no policy file`,
      hint: 'write one for each job, or name another folder with PORTCULLIS_FLAGS',
    };
  }
  const differing = (await diffPolicies(control, files)).filter((diff) => !isSame(diff));
  if (differing.length === 0)
    return { mark: 'ok', found: `${countOf(files.length, 'file')} valid and in force as written` };
  return {
    mark: 'warn',
    found: `valid, but not in force as written: ${differing.map(({ job }) => job).join(', ')}`,
    hint: `portcullis flags diff ${flagsFolder}, then portcullis flags apply ${flagsFolder}`,
  };
}
