import { loadPolicies } from '../flags/policy-store.js';
import { messageOf } from '../kernel/errors.js';
import { shorten } from '../kernel/text.js';
import { within } from '../kernel/within.js';
import { FINDING_MARKS, type Finding as JobFinding } from '../sdk/contract.js';
import type { KnownJob } from '../worker/registry.js';
import type { Check, Found, Hearing, Patient } from './patient.js';

export const installedJobs: Check<Patient> = {
  name: 'jobs',
  examine: async ({ control, jobs }) => {
    const policies = await loadPolicies(control);
    const installed = new Set(jobs.map(({ definition }) => definition.name));
    const governed = new Set(policies.map(({ job }) => job));
    const malformed = policies.flatMap((policy): Found[] =>
      policy.ok
        ? []
        : [
            {
              mark: 'fail',
              found: policy.reason,
              hint: 'apply the policy file again: portcullis flags apply',
            },
          ],
    );
    const strangers = [...governed]
      .filter((job) => !installed.has(job))
      .map((job): Found => ({
        mark: 'warn',
        found: `${job} has a policy and is not installed here: another worker must serve it`,
        hint: 'install the version of Portcullis that has the job, on some worker',
      }));
    const ungoverned = [...installed]
      .filter((job) => !governed.has(job))
      .map((job): Found => ({
        mark: 'warn',
        found: `${job} is installed and has no policy: it never runs`,
        hint: 'write its policy and apply it: portcullis flags apply',
      }));
    const fine = jobs.filter(({ definition }) => governed.has(definition.name));
    return [
      ...malformed,
      ...strangers,
      ...ungoverned,
      ...fine.map(({ definition: { name }, version }): Found => ({
        mark: 'ok',
        found: `${name} ${version} is installed and has a policy`,
      })),
    ];
  },
};

/** How long a job may look for what is wrong. */
const OWN_MS = 15_000;
/** The most findings of one job that are shown, and the longest text of one. */
const MOST_OWN = 50;
const LONGEST_OWN = 500;

/** What the jobs themselves look for. */
export const ownChecks: Check<Patient & Hearing> = {
  name: 'job checks',
  examine: async ({ jobs, clients }) => {
    const found = await Promise.all(jobs.map((job) => ofJob(job, clients)));
    return found.flat();
  },
};

/** What a job finds, by its name; that it could not look is a warning: what it asks may be away for a while. */
async function ofJob(job: KnownJob, clients: Hearing['clients'], ms = OWN_MS): Promise<Found[]> {
  const { definition } = job;
  if (definition.doctor === undefined) return [];
  const stopping = new AbortController();
  const named = (found: JobFinding): Found => ({ check: definition.name, ...found });
  try {
    const findings = await within(
      ms,
      async () => definition.doctor?.({ clients: await clients(job), signal: stopping.signal }) ?? [],
      () => new Error(`no answer within ${ms / 1_000} s`),
    );
    const shown = findings.slice(0, MOST_OWN).map((each) => named(checked(each)));
    const more = findings.length - shown.length;
    return more === 0 ? shown : [...shown, named({ mark: 'warn', found: `${more} more findings not shown` })];
  } catch (error) {
    return [
      named({ mark: 'warn', found: `could not be checked: ${shorten(messageOf(error), LONGEST_OWN)}` }),
    ];
  } finally {
    stopping.abort();
  }
}

/** A finding of somebody else's code, as far as it is one. Throws a TypeError. */
function checked(given: unknown): JobFinding {
  const { mark, found, hint } = (given ?? {}) as Partial<Record<keyof JobFinding, unknown>>;
  const known = FINDING_MARKS.find((each) => each === mark);
  if (known === undefined || typeof found !== 'string')
    throw new TypeError(`a finding needs a mark (${FINDING_MARKS.join(', ')}) and a text, found`);
  return {
    mark: known,
    found: shorten(found, LONGEST_OWN),
    ...(typeof hint === 'string' && { hint: shorten(hint, LONGEST_OWN) }),
  };
}
