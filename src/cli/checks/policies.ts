import { isSame } from '../../flags/policy-diff.js';
import { diffPolicies, loadPolicies } from '../../flags/policy-store.js';
import { readPolicies } from '../../flags/policy.js';
import { kindsOfJobs } from '../../worker/registry.js';
import { countOf } from '../../kernel/words.js';
import type { Check, Patient } from './check.js';

export const policyFiles: Check<Patient> = {
  name: 'policies',
  examine: async ({ installation: { control, flagsFolder, jobs } }) => {
    const files = await readPolicies(flagsFolder, kindsOfJobs(jobs));
    if (files.length === 0) {
      return [
        {
          mark: 'warn',
          found: `${flagsFolder} has no policy file`,
          hint: 'write one for each job, or name another folder with PORTCULLIS_FLAGS',
        },
      ];
    }
    const differing = (await diffPolicies(control, files)).filter((diff) => !isSame(diff));
    if (differing.length === 0) {
      return [{ mark: 'ok', found: `${countOf(files.length, 'file')} valid and in force as written` }];
    }
    return [
      {
        mark: 'warn',
        found: `valid, but not in force as written: ${differing.map(({ job }) => job).join(', ')}`,
        hint: `portcullis flags diff ${flagsFolder}, then portcullis flags apply ${flagsFolder}`,
      },
    ];
  },
};

export const installedJobs: Check<Patient> = {
  name: 'jobs',
  examine: async ({ installation: { control, jobs } }) => {
    const policies = await loadPolicies(control);
    const installed = new Set(jobs.map(({ definition }) => definition.name));
    const governed = new Set(policies.map(({ job }) => job));
    const malformed = policies.flatMap((policy) =>
      policy.ok
        ? []
        : [
            {
              mark: 'fail' as const,
              found: policy.reason,
              hint: 'apply the policy file again: portcullis flags apply',
            },
          ],
    );
    const strangers = [...governed]
      .filter((job) => !installed.has(job))
      .map((job) => ({
        mark: 'warn' as const,
        found: `${job} has a policy and is not installed here: another worker must serve it`,
        hint: 'install the version of Portcullis that has the job, on some worker',
      }));
    const ungoverned = [...installed]
      .filter((job) => !governed.has(job))
      .map((job) => ({
        mark: 'warn' as const,
        found: `${job} is installed and has no policy: it never runs`,
        hint: 'write its policy and apply it: portcullis flags apply',
      }));
    const fine = jobs.filter(({ definition }) => governed.has(definition.name));
    return [
      ...malformed,
      ...strangers,
      ...ungoverned,
      ...fine.map(({ definition: { name }, version }) => ({
        mark: 'ok' as const,
        found: `${name} ${version} is installed and has a policy`,
      })),
    ];
  },
};
