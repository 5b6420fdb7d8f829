import { basename, dirname, resolve } from 'node:path';
import type { TriedJobs, TrialFault } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { readPolicies, type PolicyFile } from '../flags/policy.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { tryJob } from '../testing/try-job.js';
import { versionOf, type InstalledJob } from '../worker/registry.js';
import { loadConfigFile, type ConfigFile } from './config-file.js';

/**
 * Tries the jobs of a configuration file: loads it, reads the policies, and plans each job in each of its regions on the
 * schema that the file names for development. Answers everything that is wrong at once. Throws CONFIG_INVALID where
 * there is no configuration file.
 */
export async function tryJobs(config: Config, given: string | undefined): Promise<TriedJobs> {
  const path = given ?? config.configFile;
  if (path === undefined) {
    throw new PortcullisError('CONFIG_INVALID', 'there is no portcullis.config.ts in this folder', {
      hint: 'portcullis init writes one; or name the file with --config',
    });
  }
  const faults: TrialFault[] = [];
  const noting = async <T>(what: string, work: Promise<T>): Promise<T | undefined> =>
    work.catch((error: unknown) => {
      faults.push(faultOf(what, error));
      return undefined;
    });
  const loaded = await noting(basename(path), loadConfigFile(path, config.buildId, null));
  const answer = { file: resolve(path), faults, jobs: [], plans: [], policies: [], onSchema: false };
  if (loaded === undefined) return answer;
  const { jobs, definition } = loaded;
  const policies = await noting('policies', policiesOf(config, jobs));
  const plans = [];
  for (const job of jobs) {
    const { name } = job.definition;
    await noting(name, versionOf(job));
    const policy = policies?.find((file) => file.policy.job === name);
    if (policies !== undefined && policy === undefined) {
      faults.push({
        what: name,
        message: `${config.flagsFolder} has no policy of this job, so it never runs`,
        hint: `write ${name}.yaml there: when and where it runs, and its caps`,
      });
    }
    const planned = policy && (await noting(name, plansOf(loaded, job, policy)));
    plans.push(...(planned ?? []));
  }
  for (const { job, region, status, reason, verdicts } of plans) {
    const failed = verdicts.filter(({ verdict }) => verdict === 'fail' || verdict === 'unreachable');
    const why = failed.length > 0 ? failed.map((each) => each.reason).join('; ') : reason;
    if (failed.length > 0 || status !== 'planned')
      faults.push({
        what: `${job} in ${region}`,
        message: `its plan is ${failed.length > 0 ? 'refused' : status}: ${why}`,
      });
  }
  return {
    ...answer,
    jobs: jobs.map((job) => job.definition.name),
    plans,
    policies: (policies ?? []).map(({ file, text }) => ({ file, text })),
    onSchema: definition.development !== undefined,
  };
}

function faultOf(what: string, error: unknown): TrialFault {
  const hint = error instanceof PortcullisError ? error.hint : undefined;
  // It says itself where it is.
  const message = messageOf(error).replace(new RegExp(`^\\S*${what.replaceAll('.', '\\.')}: `), '');
  return { what, message, ...(hint !== undefined && { hint }) };
}

async function policiesOf(config: Config, jobs: readonly InstalledJob[]): Promise<PolicyFile[]> {
  if (config.flagsShipped) {
    throw new PortcullisError('FILE_UNREADABLE', 'there is no folder flags with policies', {
      hint: 'make the folder flags/ with a policy of each job, or name another with PORTCULLIS_FLAGS',
    });
  }
  const kinds = new Map(jobs.map(({ definition: { name, kinds: own } }) => [name, Object.keys(own)]));
  return readPolicies(config.flagsFolder, kinds);
}

async function plansOf({ file, definition }: ConfigFile, job: InstalledJob, policy: PolicyFile) {
  const { development } = definition;
  if (development === undefined) return [];
  const at = (path: string): string => resolve(dirname(file), path);
  return tryJob({
    ...{ definition: job.definition, policy, regions: policy.policy.regions },
    schema: [development.schema].flat().map((path) => at(path)),
    grants: development.grants === undefined ? undefined : at(development.grants),
    // Where the schema's SQL made rows, these are planned on.
    seed: job.definition.name,
  });
}
